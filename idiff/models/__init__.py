"""Neural networks: autoencoder, text encoder, U-Net, and the backbone that joins them. No Lightning here."""
