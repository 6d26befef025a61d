"""What others reported of the same job on a cluster, to see whether a model made on one machine is anywhere near the world."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A report of the notebook's job that the customer collected: the features stage alone, of the training set of Fruits-360.
IMAGES = 67_692
SECONDS = 21.5 * 60
NODES, VCPUS = 2, 4  # 1 + 2 m5.xlarge
# An assumption: a vCPU of m5 is a hyperthread, one of two of a core (https://aws.amazon.com/ec2/instance-types/m5/).
VCPU = 0.5


@dataclass(frozen=True)
class Sanity:
    """Seconds of the published run, and as `modelled` from `rate`, the notebook's images a second of a worker here."""

    rate: float
    vcpu: float

    @property
    def modelled(self) -> float:
        return IMAGES / (self.rate * self.vcpu * NODES * VCPUS)

    @property
    def times(self) -> float:
        """So many times as long as modelled the published run took."""
        return SECONDS / self.modelled

    @property
    def implied(self) -> float:
        """What a vCPU would be against a core here, were that all that differs."""
        return self.vcpu / self.times


def sanity(speed: Mapping[str, Any] | None) -> Sanity | None:
    """None where the notebook's way was not measured."""
    case = speed["cases"].get("notebook") if speed else None
    return Sanity(case["rows"][0]["median"], VCPU) if case and case["rows"] else None
