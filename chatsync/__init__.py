"""chatsync: chat that stays with the picture.

A relay captures live chat, stamps every message with the HLS program date-time, keeps it, and serves it in slices that a
player shows at the right moment. See ARCHITECTURE.md for the layers and GLOSSARY.md for the words.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
