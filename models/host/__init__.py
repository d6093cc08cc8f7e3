"""What all models share of ComfyUI: sampling, latents, and what a MODEL, a VAE and a CLIP are told apart by."""
