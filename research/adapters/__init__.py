"""Adapters as transforms of models: Model -> Model."""
