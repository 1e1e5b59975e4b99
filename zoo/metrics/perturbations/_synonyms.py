"""A small list of our own of English words that can stand for each other in reviews and questions."""

from __future__ import annotations

# Words of one line are close in meaning, of one part of speech and form; none is in two lines.
LINES = """
film movie picture
story tale narrative
plot storyline
actor performer
actors performers
scene sequence
scenes sequences
director filmmaker
funny amusing comical
sad sorrowful unhappy
boring dull tedious
exciting thrilling
great superb excellent
good fine
bad poor
awful terrible dreadful
beautiful lovely gorgeous
clever smart
silly foolish
strange odd weird
interesting engaging
slow sluggish
fast quick
big large
happy glad
hard difficult
easy simple
entire whole
main chief principal
often frequently
really truly
nearly almost
maybe perhaps
begin start
begins starts
make create
makes creates
try attempt
tries attempts
enjoyed liked
loved adored
hated loathed
seems appears
mistake error
problem trouble
kid child
kids children
woman lady
food meal
soup broth
waiter server
staff crew
friendly kind
rude impolite
helpful obliging
careless negligent
delicious tasty
fresh crisp
cold chilly
burnt charred
loud noisy
quiet silent
calm peaceful
deafening thunderous
restaurant eatery
cheap inexpensive
expensive costly
price cost
city town
country nation
person individual
company firm
area region
job occupation
car automobile
doctor physician
illness disease
famous renowned
buy purchase
answer reply
"""


def synonym_groups(lines: str = LINES) -> tuple[tuple[str, ...], ...]:
    """Return the groups of words, one for each line.

    Example:
        >>> synonym_groups()[0]
        ('film', 'movie', 'picture')
    """
    return tuple(tuple(line.split()) for line in lines.split("\n") if line)
