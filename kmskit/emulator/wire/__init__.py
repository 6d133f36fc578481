"""What goes over the wire: requests, their signatures, and the shape of answers. No key and no state is known here."""
