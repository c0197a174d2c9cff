"""A trained model as it is served: what is computed about it, and the forms it is written in."""
