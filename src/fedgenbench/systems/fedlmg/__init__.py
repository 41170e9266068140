"""FedLMG: clients send classifiers, which guide the server's diffusion model (papers/fedlmg.md)."""
