"""The bytes of one product: received, verified, unpacked."""
