"""Keys in an embedded SQLite file, used by pyca/cryptography in this process.

It protects keys at rest: the file is worthless without the passphrase or key file. It does not protect them from this
process or from whoever can read its memory; that takes a token or a service. SECURITY.md has the whole threat model.
"""

from kmskit.backends.software.backend import SoftwareBackend, store_files

__all__ = ["SoftwareBackend", "store_files"]
