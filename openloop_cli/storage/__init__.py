"""Where things lie: on a disk, or in a store on the network, by the same names for both.

`place("s3://bucket/run")` gives a `RemotePath`, which has of `pathlib.Path` what this package
uses; `place("logdir/run")` gives a plain Path, and so does `file://`. Functions take `Path` and
mean either; only what must know asks `remote(path)`.

Of what stands on the network nothing names another place: names within a folder are checked to
be names, and chained or unknown protocols are refused. fsspec and its stores come with
`openloop[remote]` and are imported when the first remote place is looked at, not before.
"""

from openloop_cli.storage.names import may_read, place, remote, within
from openloop_cli.storage.paths import RemotePath, each
from openloop_cli.storage.stores import SCHEMES

__all__ = ["SCHEMES", "RemotePath", "each", "may_read", "place", "remote", "within"]
