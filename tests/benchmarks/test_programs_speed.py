"""A training step, an epoch with its validation, and an exported program, beside a plain implementation.

The plain one is what the paper's text describes, head by head: every read multiplies the whole stream by a dense matrix
``pi (x) I``, every gate, predicate and attention draws its own noise, and an epoch ends with noisy passes over all
splits. Both sides compute the same function when choices are hard, which is checked first. CPU time of one thread.
"""

import time

import pytest
import torch
import torch.nn.functional as F

from zoo.data import create_data
from zoo.programs.codegen.printer import print_program
from zoo.programs.ir.interpreter import logits
from zoo.programs.label_positions import LabeledPositions, read_rows
from zoo.programs.learn.compilation import compile_network
from zoo.programs.learn.network import Network, read_out
from zoo.programs.learn.sizes import Sizes
from zoo.sequence_spec import Frame

CASES = {  # task, layers, heads, counters, tables, number tables; least ratio of a step, of an epoch
    "hist, 1 layer, 2 + 2 heads": ("hist", Sizes(7, 8, 6, 8, 0, 1, 2, 2, 1, 1), 1.3, 2.0),
    "reverse, 3 layers, 4 + 4 heads": ("reverse", Sizes(7, 8, 5, 8, 0, 3, 4, 4, 1, 1), 1.8, 3.5),
}
BATCH, ROUNDS = 512, 5


class Plain:
    """Slices of the parameters of one restart, a list entry for each head and table; used one by one."""

    def __init__(self, net, weight, bias):
        self.net, self.shape, self.weight, self.bias = net, net.shape, weight, bias
        s, gate, number = net.shape, 0, 0
        self.layers = []
        for layer in range(s.layers):
            attend, readable = s.heads + s.counters, s.categories(layer)
            take = lambda n, v, at=None: [net.gates[0, gate + i, :v] for i in range(n)]  # noqa: B023, E731
            query = take(attend, readable)
            gate += attend
            key = take(attend, readable)
            gate += attend
            value = take(s.heads, readable)
            gate += s.heads
            table = take(2 * s.tables, s.categories(layer, after_heads=True))
            gate += 2 * s.tables
            add = [net.number_gates[0, number + i, :1] for i in range(s.counters)]
            number += s.counters
            width = s.numbers(layer, after_heads=True)
            tally = [net.number_gates[0, number + i, :width] for i in range(2 * s.number_tables)]
            number += 2 * s.number_tables
            predicates = [net.predicates[0, layer * attend + i] for i in range(attend)]
            self.layers.append((query, key, value, table, add, tally, predicates))
        self.leaves = [p.detach().clone().requires_grad_() for layer in self.layers for part in layer for p in part]
        it = iter(self.leaves)
        self.layers = [[[next(it) for _ in part] for part in layer] for layer in self.layers]
        self.leaves += [weight, bias]
        self.tables = []
        for layer in range(s.layers):
            for kind, count in ((0, s.tables), (1, s.number_tables)):
                for m in range(count):
                    group = (net.first, net.first_bias, net.second, net.second_bias)
                    mine = [p[kind][0, layer * count + m].detach().clone().requires_grad_() for p in group]
                    self.tables.append(mine)
                    self.leaves += mine

    def __call__(self, codes, tau, hard=False):
        s, k = self.shape, self.shape.width

        def sample(x):
            if hard:
                return F.one_hot(x.argmax(-1), x.shape[-1]).to(x)
            return F.gumbel_softmax(x, tau=tau, dim=-1)

        def read(stream, gate):
            return stream @ torch.kron(sample(gate)[:, None], torch.eye(k, dtype=stream.dtype))

        real = codes >= 0
        see = real[:, :, None] & real[:, None]
        b, n = codes.shape
        words = F.one_hot(codes.clamp_min(0), k).to(self.weight)
        place = F.one_hot(torch.arange(n), k).to(self.weight).expand(b, n, k)
        stream, numbers, tables = torch.cat([words, place], 2), self.weight.new_ones(b, n, 1), iter(self.tables)
        for query, key, value, table, add, tally, predicates in self.layers:
            new, counted = [], []
            for h in range(s.heads + s.counters):
                wanted = read(stream, query[h]) @ sample(predicates[h])
                match = (wanted @ read(stream, key[h]).mT).masked_fill(~see, 0)
                if h < s.heads:
                    total = match.sum(2, keepdim=True)
                    first = (1 - total / (total + 1e-10)).relu()
                    match = torch.cat([match[..., :1] + first, match[..., 1:]], 2)
                    score = ((match + 1e-20).log() + self.net.bias[:, 0].T).masked_fill(~see, -1e30) / k**0.5
                    new.append(sample(score) @ read(stream, value[h]))
                else:
                    weight = numbers[..., :1] @ sample(add[h - s.heads])[:, None]
                    counted.append(match @ weight)
            stream, numbers = torch.cat([stream, *new], 2), torch.cat([numbers, *counted], 2)
            new = []
            for m in range(s.tables + s.number_tables):
                if m < s.tables:
                    both = torch.cat([read(stream, g) for g in table[2 * m : 2 * m + 2]], 2)
                else:
                    pair = tally[2 * (m - s.tables) : 2 * (m - s.tables) + 2]
                    both = torch.cat([numbers @ sample(g)[:, None] for g in pair], 2)
                one, one_bias, two, two_bias = next(tables)
                hidden = (both @ one.mT + one_bias[:, 0]).relu()
                new.append(sample((hidden @ two.mT + two_bias[:, 0]).log_softmax(-1)))
            stream = torch.cat([stream, *new], 2)
        return torch.cat([stream, numbers[..., 1:]], 2) @ self.weight[0].mT + self.bias[0]


def seconds(way):
    start = time.process_time()
    way()
    return time.process_time() - start


@pytest.mark.benchmark
@pytest.mark.parametrize("case", CASES)
def test_training(case):
    task, shape, least_step, least_epoch = CASES[case]
    torch.manual_seed(0)
    data = create_data("rasp", task=task, size=4096, seed=0)
    rows = {name: read_rows(data.sequence, data.splits[name].x, pooled=False) for name in ("train", "val", "test")}
    codes = rows["train"][0]
    net = Network(shape)
    weight = torch.nn.Parameter(torch.randn(1, shape.classes, shape.units))
    bias = torch.nn.Parameter(torch.zeros(1, shape.classes))
    plain = Plain(net, weight.detach().clone().requires_grad_(), bias.detach().clone().requires_grad_())
    with torch.no_grad():  # the same function
        ours = read_out(weight, bias, *net(codes[:64], 0.01, hard=True))[0].unflatten(1, (64, -1)).permute(1, 2, 0)
        torch.testing.assert_close(
            ours[codes[:64] >= 0], plain(codes[:64], 0.01, hard=True)[codes[:64] >= 0], rtol=1e-4, atol=1e-4
        )
    y = torch.randint(0, shape.classes, (len(codes), codes.shape[1]))
    mine = torch.optim.Adam([*net.parameters(), weight, bias], lr=0.05)
    theirs = torch.optim.Adam(plain.leaves, lr=0.05)

    def our_step(i):
        c, t = codes[i : i + BATCH], y[i : i + BATCH].flatten()
        out = read_out(weight, bias, *net(c, 1.0))[0]
        mine.zero_grad()
        F.cross_entropy(out.mT, t).backward()
        mine.step()

    def their_step(i):
        c, t = codes[i : i + BATCH], y[i : i + BATCH].flatten()
        theirs.zero_grad()
        F.cross_entropy(plain(c, 1.0).flatten(0, 1), t).backward()
        theirs.step()

    def our_epoch():
        for i in range(0, len(codes) - BATCH + 1, BATCH):
            our_step(i)
        with torch.no_grad():
            program = compile_network(net, 0, data.sequence, tuple(map(str, range(shape.classes))), weight[0], bias[0])
            LabeledPositions(*rows["val"], data.splits["val"].y).accuracy(program)

    def their_epoch():
        for i in range(0, len(codes) - BATCH + 1, BATCH):
            their_step(i)
        with torch.no_grad():
            for name in ("train", "val", "test"):
                for part in rows[name][0].split(BATCH):
                    plain(part, 1.0)

    for what, one, two, least in (
        ("step", lambda: our_step(0), lambda: their_step(0), least_step),
        ("epoch", our_epoch, their_epoch, least_epoch),
    ):
        one(), two()
        times = [(seconds(one), seconds(two)) for _ in range(ROUNDS)]
        ours, other = (min(f[i] for f in times) for i in (0, 1))
        print(f"{case}, {what}: {1000 * ours:.1f} ms, plain {1000 * other:.1f} ms, {other / ours:.2f}x")
        assert other / ours > least


@pytest.mark.benchmark
@torch.no_grad()
def test_exported_program():
    """A call of 8 tokens of a large untrained program, nothing pruned."""
    torch.manual_seed(0)
    shape = Sizes(7, 10, 5, 10, 0, 3, 8, 0, 4, 0)
    frame = Frame((*map(str, range(5)), "<s>", "</s>"), 10, ("<s>",), ("</s>",))
    net = Network(shape)
    program = compile_network(net, 0, frame, tuple("01234"), torch.randn(5, shape.units), torch.zeros(5))
    space = {"__name__": "exported"}
    exec(compile(print_program(program, name="big"), "big.py", "exec"), space)
    words = list("30142312")
    assert len(space["run"](words)) == 8
    taken = min(seconds(lambda: [space["run"](words) for _ in range(200)]) for _ in range(ROUNDS)) / 200
    start = torch.tensor([(0, 1 + i) for i in range(8)])
    codes = frame.pad([frame.encode(words)])
    ours = min(seconds(lambda: [logits(program, codes, start) for _ in range(20)]) for _ in range(ROUNDS)) / 20
    print(f"3 layers of 8 heads and 4 tables: {1000 * taken:.2f} ms a call, interpreter {1000 * ours:.2f} ms")
    assert taken < 1e-3
