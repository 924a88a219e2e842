"""Which arrays belong together. Pure: facts in, findings and a grade out.

Each module holds the rules about one thing; a rule is a function from a dataset's facts to what it found. The codes
are documented in docs/findings.md.
"""

from minian_vc.audit.datasets import Audit, audit
from minian_vc.audit.model import Grade
from minian_vc.audit.sessions import SessionFacts, audit_sessions

__all__ = ["Audit", "Grade", "SessionFacts", "audit", "audit_sessions"]
