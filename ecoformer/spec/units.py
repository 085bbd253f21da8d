"""The units of an engine: how much of each there is, and how much of that one token needs."""

from dataclasses import dataclass

from ecoformer.spec.memory_map import Layout

__all__ = ["Unit", "core_units", "hash_units", "normaliser_units", "units"]


@dataclass(frozen=True)
class Unit:
    """A unit, and its work on one token; on one pair of tokens in a quadratic core.

    Parameters
    ----------
    lanes : int
        What works side by side.
    steps : int
        Cycles in which it works.
    work : int
        Lane-cycles that the work takes. Where a fold leaves a remainder, it is less than
        ``lanes · steps``: lanes beyond the edge of the array idle in the last block.
    multiplies : bool
        Whether a lane is a multiplier.
    """

    lanes: int
    steps: int
    work: int
    multiplies: bool = False

    @classmethod
    def of(cls, fold, **options):
        """The unit that works through ``fold``."""
        return cls(fold.lanes, fold.steps, fold.inputs * fold.outputs, **options)

    @property
    def fill(self):
        """Share of the lanes with useful work in an average step."""
        return self.work / (self.lanes * self.steps)


def units(config):
    """Every unit of the engine, on the way of a token: dict name → `Unit`."""
    return {**hash_units(config), **core_units(config), **normaliser_units(config)}


def hash_units(config):
    """The units of the hash family."""
    found = {}
    multiplies = config.weights == "int8"
    if config.hash == "rbf":
        dot, layout = config.dot_fold, Layout(config)
        found = {
            "squared_norm": Unit(
                dot.input_lanes, dot.input_steps, config.head_dim, multiplies=True
            ),
            "dot_products": Unit.of(dot, multiplies=multiplies),
            "kernel_values": Unit(
                layout.kernel_lanes, layout.kernel_steps, config.anchors, multiplies=True
            ),
        }
    if config.is_hashed:
        found["projection_products"] = Unit.of(config.projection_fold, multiplies=multiplies)
    return found


def core_units(config):
    """The units of the attention core."""
    d, e, state, codes = config.head_dim, config.value_dim, config.state_fold, config.code_fold
    weighted = {"weighted_sums": Unit(e, 1, e, multiplies=True)}
    if config.dataflow == "xnor":
        return {"similarities": Unit(config.code_bits, 1, config.code_bits), **weighted}
    if config.dataflow == "softmax":
        return {
            "score_products": Unit(d, 1, d, multiplies=True),
            "scale_product": Unit(1, 1, 1, multiplies=True),
            **weighted,
        }
    value_sums = {"value_sums": Unit(state.output_lanes, state.output_steps, e)}
    return {
        "accumulate_lanes": Unit.of(state),
        "code_sums": Unit.of(codes),
        **(value_sums if config.value_term == "sum" else {}),
        "query_lanes": Unit.of(state),
        "similarity_lanes": Unit.of(codes),
        # C·V of every block, and C·n once
        "offset_products": Unit(
            state.output_lanes + 1, state.output_steps, e + 1, multiplies=True
        ),
    }


def normaliser_units(config):
    """The digits of the quotients: a lane makes one per cycle."""
    fold, digits = config.state_fold, config.output_width
    stages = -(-digits // fold.input_steps)
    return {
        "quotient_digits": Unit(
            fold.output_lanes * stages,
            fold.output_steps * min(fold.input_steps, digits),
            config.value_dim * digits,
        )
    }
