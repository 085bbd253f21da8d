"""From the sums of a whole query to blocks, for the cores that have them all at once."""

from amaranth import *

__all__ = ["send_blocks"]


def send_blocks(m, config, blocks, last, sums, denominator, tag):
    """Hand over ``sums`` in blocks, as far apart as the normaliser wants them.

    The first block leaves a cycle after ``last``; the next ``last`` may come
    ``state_fold.steps + 1`` cycles later.

    Parameters
    ----------
    m : Module
    config : Config
    blocks : stream of Block
    last : Value
        Strobe: the sums are those of a query.
    sums : list of Value
        One for every output lane of every step.
    denominator : Value
    tag : dict of str to Value
        Fields of the `Tag`.
    """
    fold, block = config.state_fold, blocks.payload
    waiting = Signal(len(sums) * len(sums[0]), reset_less=True)
    blocks_left = Signal(range(fold.output_steps + 1))
    pace = Signal(range(fold.input_steps))
    held_tag = Signal(block.tag.shape(), reset_less=True)
    lanes_bits = fold.output_lanes * len(sums[0])
    with m.If(last):
        m.d.sync += [
            waiting.eq(Cat(*sums)),
            block.denominator.eq(denominator),
            blocks_left.eq(fold.output_steps),
            pace.eq(0),
        ]
        m.d.sync += [held_tag[name].eq(field) for name, field in tag.items()]
    with m.Elif(blocks_left != 0):
        m.d.sync += pace.eq(Mux(pace == 0, fold.input_steps - 1, pace - 1))
        with m.If(blocks.valid):
            m.d.sync += [waiting.eq(waiting >> lanes_bits), blocks_left.eq(blocks_left - 1)]
    m.d.comb += [
        blocks.valid.eq((blocks_left != 0) & (pace == 0)),
        block.numerators.as_value().eq(waiting),
        block.final.eq(blocks_left == 1),
        block.tag.eq(held_tag),
    ]
