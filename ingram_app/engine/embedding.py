"""Embedding: what a smith's facts say, and its past turns if they are recalled, as vectors, ahead of who asks.

A project that changes its embedding model has all of it embedded anew; the old vectors serve until then, and then go.
"""

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import access, memory_ops, recalling, recollections, smiths
from ingram_app.domain.memory_ops import MemoryOp, OpKind
from ingram_app.domain.vectors import Kind

AT_ONCE = 16
"""Texts: little enough that a question that comes meanwhile need not wait long for the embedded model."""
BATCHES = 40
"""Then others have their turn."""


async def embed(op: MemoryOp) -> None:
    """Embed what has no vector by the project's model.

    Raises `EmbeddingRequestFailed`, `ModelKeyMissing`, `OpLost`.
    """
    caller = access.as_smith(op.project_id, op.smith_id, "memories:read", "memories:write")
    async with transaction(caller.tenancy) as session:
        try:
            clone = await smiths.embody(session, caller, op.smith_id)
        except NotFound:  # nobody asks for it any more
            return await memory_ops.finish(session, op)
        recalls = "recall" in clone.config["enabled_hosted_tools"]
        recalls = recalls or await recollections.are_there(session, op.project_id, op.smith_id)
    kinds: list[Kind] = ["fact", "turn"] if recalls else ["fact"]
    left = BATCHES
    for kind in kinds:
        while left and await recalling.embed_new(caller, op.smith_id, kind, AT_ONCE):
            left -= 1
    async with transaction(caller.tenancy) as session:
        await smiths.embody(session, caller, op.smith_id, stays=True)
        if left:
            await recalling.retire(session, op.project_id, op.smith_id)
        await memory_ops.finish(session, op)
        if not left:
            await memory_ops.queue(session, op.project_id, op.smith_id, OpKind.embed)
