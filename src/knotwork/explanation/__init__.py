"""Reading a network: what inputs and edges do, and what makes a prediction; as pictures or a page.

`explain` is the door.  `effects.py` and `contributions.py` say how shapes, directions and
contributions are defined, and where the definitions come from.
"""

from .effects import Effect as Effect
from .explain import explain as explain
from .result import EdgeExplanation as EdgeExplanation
from .result import Explanation as Explanation
from .result import InputExplanation as InputExplanation
from .row import EdgeContribution as EdgeContribution
from .row import NodeValue as NodeValue
from .row import RowExplanation as RowExplanation
