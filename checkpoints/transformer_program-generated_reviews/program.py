"""program: one answer for all words. Test accuracy 96.25 %. Written by zoo 0.1.0 from transformer_program-
generated_reviews.
Input: 1 to 32 words; unknown words are read as '[UNK]'. Example: python program.py , was the
"""

import sys


def by_word(values):
    """Return a dictionary from words to values, given the words of each value."""
    return {word: value for value, words in values.items() for word in words.split()}


WORD_2 = by_word({  # 'monday|[UNK]' for all other words
    'on|booked': 'on booked',
    'us': 'us',
    'every': 'every',
    'it|birthday': 'it birthday served in peace',
    'read': 'read',
    'an': 'an',
    'dish': 'dish',
    'staff': 'staff',
    'my': 'my',
    '.|table': '. table',
    'they|pasta': 'they pasta fish',
    'at|calm': 'at calm loved delicious',
    'we|inside': 'we inside waiter',
    'smiled|once': 'smiled once fresh soft friendly helpful cooked well quiet could talk',
    'had|soup': 'had soup cold for hour waited to',
    ',': ',',
    'were|music': 'were music',
    'i|about': 'i about',
    'a|friends': 'a friends room',
    'deafening': 'deafening',
    'was|the': 'was the',
    'shout': 'shout',
    'tasted': 'tasted',
    'came': 'came',
    'stale|noisy': 'stale noisy back sent ignored rude loud careless burnt',
    'hungry': 'hungry',
})
CLASSES = ('bad', 'mixed', 'good')
BASE = (1.203125, -1.21875, 0.015625)
SCORES = {  # what each value adds to each class
    'word_2': {
        'on|booked': (-1.890625, 0.4375, 1.46875),
        'us': (3.34375, -2.859375, -0.484375),
        'every': (-0.421875, -1.640625, 2.078125),
        'it|birthday': (0.171875, 0.578125, -0.75),
        'read': (5.140625, 0.578125, -5.71875),
        'an': (-4.46875, 0.171875, 4.296875),
        'monday|[UNK]': (-2, 1, 1),
        'dish': (-0.421875, -1.640625, 2.078125),
        'staff': (-1.65625, -3.265625, 4.921875),
        'my': (-1.078125, 0.328125, 0.75),
        '.|table': (-1.78125, 3.328125, -1.546875),
        'they|pasta': (6.53125, 1.203125, -7.75),
        'at|calm': (-26.96875, 2.453125, 24.515625),
        'we|inside': (1.6875, -1.765625, 0.078125),
        'smiled|once': (-23.140625, 3.046875, 20.09375),
        'had|soup': (13.28125, 2.03125, -15.3125),
        ',': (-2.140625, -5.3125, 7.453125),
        'were|music': (0.9375, 0.953125, -1.890625),
        'i|about': (-11.25, -0.75, 11.984375),
        'a|friends': (1.96875, -0.9375, -1.03125),
        'deafening': (19.890625, -3.28125, -16.609375),
        'was|the': (-1.015625, -1.953125, 2.96875),
        'shout': (6.265625, 2.140625, -8.40625),
        'tasted': (-0.421875, -1.640625, 2.078125),
        'came': (-2, 1, 1),
        'stale|noisy': (25.34375, 3.84375, -29.1875),
        'hungry': (-3.9375, 1.984375, 1.953125),
    },
    'position': {
        0: (-1.890625, 3.90625, -2.015625),
        1: (-1.890625, 3.90625, -2.015625),
        2: (-1.890625, 3.90625, -2.015625),
        3: (-1.890625, 3.90625, -2.015625),
        4: (-0.59375, 2.078125, -1.484375),
        5: (1.359375, -0.890625, -0.453125),
        6: (0.140625, -5.65625, 5.515625),
        7: (0.140625, -5.65625, 5.515625),
        8: (0.140625, -5.65625, 5.515625),
        9: (5.03125, -1.8125, -3.21875),
        10: (2.453125, 0.28125, -2.734375),
        11: (-6.359375, 11.96875, -5.609375),
        12: (-8.8125, 19.890625, -11.09375),
        13: (-4.78125, 13.8125, -9.046875),
        14: (2.390625, 4.65625, -7.046875),
        15: (-2.609375, 0.21875, 2.390625),
        16: (1.40625, -3.015625, 1.609375),
        17: (3.453125, -9.5625, 6.109375),
        18: (6.390625, -14.640625, 8.25),
        19: (6.671875, -10.109375, 3.4375),
        20: (2.1875, -7.875, 5.6875),
        21: (-2.234375, -2.546875, 4.765625),
        22: (1.171875, -1.109375, -0.0625),
    },
}


def variables(words):
    """Return the variables that scores are computed from, with a value for every position."""
    words = [w.lower() for w in words]
    if not 1 <= len(words) <= 32:
        raise ValueError(f"{words}: expected 1 to 32 words")
    token = [*words]
    word_2 = [WORD_2.get(t, 'monday|[UNK]') for t in token]
    position = list(range(len(token)))
    return {'word_2': word_2, 'position': position}


def scores(words):
    """Return the score of each class, the mean over all positions."""
    value, every = variables(words), range(len(words))
    rows = [[BASE, *(table[value[name][i]] for name, table in SCORES.items() if value[name][i] in table)] for i in every]
    return [sum(score) / len(rows) for score in zip(*(map(sum, zip(*row)) for row in rows))]


def run(words):
    row = scores(words)
    return CLASSES[row.index(max(row))]


if __name__ == "__main__":
    sys.tracebacklimit = 0  # an error is one line
    print(run(sys.argv[1:]))
