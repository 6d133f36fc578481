"""The backends. None imports another; `kmskit.kms` imports one when a URI asks for it."""
