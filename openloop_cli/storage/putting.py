"""Whole files put into a store, or removed from it.

What others see is the old file or the new one, and of an upload that was stopped nothing.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from openloop_cli.errors import RemoteError
from openloop_cli.storage.stores import SCHEMES, forget
from openloop_cli.storage.troubles import troubles

if TYPE_CHECKING:
    from openloop_cli.storage.paths import RemotePath

_writable: set[tuple[str, str]] = set()


def put(path: "RemotePath", data: bytes | Path, *, new: bool = False) -> None:
    """Puts a whole file there; what others see is the old one or the new one.

    Args:
      data: The bytes, or the local file that holds them.
      new: Only where there is none yet, as far as the store can tell.

    Raises:
      FileExistsError, RemoteError: There is one already, or it cannot be written.
    """
    refuse_writing(path)
    forget(path)
    with troubles(path, SCHEMES[path.scheme].credentials):
        fs = path.fs
        if path.scheme == "hf" and _commit(fs, path.key, data):
            pass
        elif isinstance(data, bytes):
            if new and path.scheme in ("s3", "gs", "memory"):
                fs.pipe_file(path.key, data, mode="create")
            else:
                fs.pipe_file(path.key, data)
        else:
            fs.put_file(str(data), path.key)
    forget(path)


def check_writable(path: "RemotePath") -> None:
    """Whether a file could be put there, as far as can be told without leaving anything.

    S3 lets an upload be begun and given up, for which it asks for the right to write; it is asked
    once for each folder. Other stores are only looked at.

    Raises:
      RemoteError: The store does not answer, or refuses.
    """
    refuse_writing(path)
    place = (path.scheme, path.parent.key)
    if path.scheme != "s3" or place in _writable:
        return
    with troubles(path, SCHEMES[path.scheme].credentials):
        bucket, _, key = path.key.partition("/")
        upload = {"Bucket": bucket, "Key": key}
        begun = path.fs.call_s3("create_multipart_upload", **upload)
        path.fs.call_s3("abort_multipart_upload", **upload, UploadId=begun["UploadId"])
    _writable.add(place)


def refuse_writing(path: "RemotePath") -> None:
    """Raises where nothing can ever be written."""
    if not path.lists:
        raise RemoteError(
            f"{path}: nothing can be written to the web",
            hint="write to a local path, or to s3://, gs:// or hf://",
        )


def remove(path: "RemotePath") -> None:
    """Removes a file."""
    refuse_writing(path)
    with troubles(path, SCHEMES[path.scheme].credentials):
        path.fs.rm_file(path.key)
    forget(path)


def _commit(fs: Any, key: str, data: bytes | Path) -> bool:
    """Puts a file into a repository in one commit; False where the key is in a bucket.

    Through the file system, what was stopped half way would be committed, too.
    """
    from huggingface_hub import HfApi

    found = fs.resolve_path(key)
    if not hasattr(found, "path_in_repo"):
        return False
    HfApi(endpoint=fs.endpoint, token=fs.token).upload_file(
        path_or_fileobj=data if isinstance(data, bytes) else str(data),
        path_in_repo=found.path_in_repo,
        repo_id=found.repo_id,
        repo_type=found.repo_type,
        revision=found.revision,
    )
    return True
