"""The object store: content under its own digest, durable before it is visible."""

from minian_vc.objects.batch import Batch, store_object
from minian_vc.objects.listing import Found, Shard, list_shards
from minian_vc.objects.manifests import manifest_digest, manifest_documents
from minian_vc.objects.store import CHANGED, KINDS, MAX_DOCUMENT, MISSING, NO_FILE, Kind, ObjectStore
from minian_vc.objects.stored_files import StoredFiles

__all__ = [
    "CHANGED",
    "KINDS",
    "MAX_DOCUMENT",
    "MISSING",
    "NO_FILE",
    "Batch",
    "Found",
    "Kind",
    "ObjectStore",
    "Shard",
    "StoredFiles",
    "list_shards",
    "manifest_digest",
    "manifest_documents",
    "store_object",
]
