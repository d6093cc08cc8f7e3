"""The bundled world model as the MODEL, VAE and CLIP of the host, so that stock nodes work with it."""
