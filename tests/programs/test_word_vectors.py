"""Words with the same neighbors have similar vectors."""

import torch

from zoo.programs.learn.word_vectors import start, word_vectors


def test_words_in_the_same_context_are_similar():
    g = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(400):  # 0 or 1 between 4 and 5; 2 or 3 between 6 and 7
        kind, which = torch.randint(0, 2, (2,), generator=g).tolist()
        rows.append([4 + 2 * kind, 2 * kind + which, 5 + 2 * kind, -1])
    vectors = word_vectors(torch.tensor(rows), 9, width=6)
    assert vectors.shape == (9, 6)
    near = torch.nn.functional.cosine_similarity(vectors[:, None], vectors[None], dim=-1)
    assert near[0, 1] > 0.95
    assert near[2, 3] > 0.95
    assert near[0, 2] < 0.5
    logits = start(vectors, 2, 4, 3)
    assert logits.shape == (3, 2, 4, 9)
    torch.testing.assert_close(logits.std(-1), torch.ones(3, 2, 4))
    assert torch.equal(word_vectors(torch.tensor(rows), 9, width=6), vectors), "the same every time"
    assert word_vectors(torch.tensor(rows), 9, width=20).shape == (9, 20)
