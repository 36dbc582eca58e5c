"""The live map: merge of the layers, walks, freshness. Pure."""
