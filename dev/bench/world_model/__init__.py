"""The bundled world model measured on scenes it has never seen: what `bench world` is made of."""
