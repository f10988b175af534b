"""What was published of the law: Hernandez et al. 2021 (arXiv 2102.01293, section 1.2), D_T = k D_F^a N^b."""

POWERS = {  # by what was pretrained on
    "text": {"k": 1.9e4, "a": 0.18, "b": 0.38},
    "text and code": {"k": 2.1e5, "a": 0.096, "b": 0.38},
}
SOURCE = "Hernandez et al. 2021, characters of Python"
