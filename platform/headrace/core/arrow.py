"""What Arrow says where it cannot do what it is asked."""

import pyarrow as pa

NO_CAST = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
"""Values do not fit another type: one of them does not, or none of their type ever does."""
