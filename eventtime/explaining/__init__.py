"""Why a row or a window came out as it did: the pipeline runs again, watched step by step."""
