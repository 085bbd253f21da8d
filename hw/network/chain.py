# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What every network is made of: blocks between its first and its last layers, and probes."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.probe import PROBE
from ecoformer.hw.network.block import Block, linear_of, norm_of
from ecoformer.hw.network.linear import Linear
from ecoformer.hw.network.link import ends_on
from ecoformer.hw.network.shared_block import SharedBlock
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.transformer import Transformer

__all__ = ["BUSY_PROBE", "Chain", "probe_name"]

BUSY_PROBE = "trace_busy"
"""Name of the signal that shows benches what works, in the order of `Chain.busy`."""


class Chain(wiring.Component):
    """Layers of a network, each at work on a token of its own.

    Parameters
    ----------
    design : Transformer
    image : NetworkImage
        What the memories of all layers hold from the start.
    members : dict
        Ports.
    entering : int
        Cycles from the announcement of a token to the first block to its last element.

    Members
    -------
    load, loaded : ``In(LoadLink)``, ``Out(LoadLink)``
        If the design is loadable: the bytes of all parameters, as `spec.network.memories` orders
        them.
    whole : ``In(1)``
        If it is: parameters are not spoilt.
    """

    most: int
    """Packets that may be in the network at once."""

    def __init__(
        self, design: Transformer, image: NetworkImage, members: dict, entering: int
    ):
        self.design = design
        self.shared: SharedBlock | None = None
        self.blocks: list[Block] = []
        if design.rolled:
            self.shared = SharedBlock(design, image)
            self.blocks.append(self.shared.block)
        else:
            for number in range(design.depth):
                self.blocks.append(Block(design, image, [number], entering))
                entering = self.blocks[-1].leaving
        self.norm = norm_of(design, image, ["norm"], self.blocks[-1].leaving)
        self.classifier = linear_of(design, image, ["classifier"], self._before_classifier)
        loads = {**load_ports(True), "whole": In(1)} if design.loadable else {}
        super().__init__(members | loads)

    @property
    def _before_classifier(self):
        """Cycles from the announcement of a token to the classifier to its last element."""
        return self.norm.leaving

    @property
    def tokens(self) -> int:
        """Tokens that may be in the blocks at once."""
        return self.shared.tokens if self.shared else sum(block.tokens for block in self.blocks)

    @property
    def hardware(self) -> dict[str, Block]:
        """Every block by its name in `Transformer.block_hardware`."""
        return dict(zip(self.design.block_hardware, self.blocks, strict=True))

    @property
    def block_links(self) -> dict[str, wiring.PureInterface]:
        """What every layer of the blocks sends, by the layer's name; some do for others, too."""
        numbers = self.design.block_hardware.values()
        return {
            f"blocks.{number}.{name}": link
            for block, blocks in zip(self.blocks, numbers, strict=True)
            for number in blocks for name, link in block.links.items()
        }

    @property
    def links(self) -> dict[str, wiring.PureInterface]:
        """What every layer sends, by the layer's name in the integer network."""
        raise NotImplementedError

    @property
    def linears(self) -> dict[str, Linear]:
        """Every linear layer by the names and in the order of `Transformer.linear_hardware`."""
        blocks = {
            f"{name}.{part}": layer
            for name, block in self.hardware.items() for part, layer in block.layers.items()
        }
        return {**blocks, "classifier": self.classifier}

    @property
    def busy(self) -> dict[str, Value]:
        """What works in a cycle: a bit of every linear layer, and those of a head of a block.

        The heads of a block do the same; the bits of one are those of `spec.units.units`.
        """
        linears = {name: layer.busy for name, layer in self.linears.items()}
        heads = {
            f"{name}.attention": block.heads.paths[0].busy
            for name, block in self.hardware.items()
        }
        return linears | heads

    def link(self, m: Module, source: Any, layers: dict[str, Any]) -> Any:
        """Add ``layers`` by name and connect them behind ``source``; returns what the last sends.
        """
        for name, layer in layers.items():
            m.submodules[name] = layer
            connect(m, source, layer.i)
            source = layer.o
        return source

    @property
    def middle(self) -> dict[str, Any]:
        """The blocks and the norm behind them, by the names of their modules."""
        if self.shared:
            return {"blocks": self.shared, "norm": self.norm}
        blocks = {f"block_{number}": block for number, block in enumerate(self.blocks)}
        return {**blocks, "norm": self.norm}

    def add_loads(self, m: Module, first: Sequence[Any], answers: Any) -> None:
        """Pass a load on, through the layers before the blocks ``first``.

        ``answers`` is what sends answers, and is told whether parameters are whole.
        """
        chain = LoadChain(m, self)
        chain.through(*first, *self.middle.values(), self.classifier)
        chain.end()
        if chain.loads:
            m.d.comb += answers.whole.eq(self.whole)

    def probe(self, m: Module) -> None:
        """For benches: the elements that a layer sends, and above them whether there are any."""
        valid = {name: link.valid for name, link in self.links.items()}
        if self.shared:
            valid |= self._valid_by_block(m)
        for name, link in self.links.items():
            elements = Value.cast(link.element)
            probe = Signal(len(elements) + 1, name=probe_name(name), attrs=PROBE)
            m.d.comb += probe.eq(Cat(elements, valid[name]))
        busy = Cat(*self.busy.values())
        works = Signal(len(busy), name=BUSY_PROBE, attrs=PROBE)
        m.d.comb += works.eq(busy)

    def _valid_by_block(self, m):
        """When the layers that blocks share send elements for each of the blocks."""
        d, valid = self.design, {}
        sizes = {"activation": d.hidden}
        for part, link in self.shared.block.links.items():
            shape = d.linears.get(f"blocks.0.{part}")
            size = shape.outputs if shape else sizes.get(part, d.width)
            last = ends_on(m, link, size, name=f"trace_{part}_element")
            block = self.shared.passes.block_of_tokens(m, last, name=f"trace_{part}")
            for number in range(d.depth):
                valid[f"blocks.{number}.{part}"] = link.valid & (block == number)
        return valid


def probe_name(layer: str) -> str:
    """Name of the signal that shows benches what a layer sends."""
    return "trace_" + layer.replace(".", "_")
