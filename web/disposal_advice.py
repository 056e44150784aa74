"""The disposal advice for each class, as a Python table because Babel extracts its sentences for translation."""

from flask_babel import lazy_gettext as _

ADVICE = {  # class -> what to do with it
    "cardboard": _("Flatten it, keep it dry and put it in the paper bin. Compost it if it is wet or greasy."),
    "glass": _(
        "Rinse it and take off the lid. Put bottles and jars in the glass bin, but not mirrors or drinking glasses."
    ),
    "metal": _("Rinse cans and crush them. Put cans, foil and lids in the metal bin."),
    "paper": _("Keep it dry and clean. Put it in the paper bin, but not tissues, receipts or coated paper."),
    "plastic": _(
        "Rinse it and put the cap back on. Bottles and tubs can be recycled; check the number in the triangle."
    ),
    "trash": _(
        "Put it in the general waste bin if it cannot be recycled or composted. "
        "Take batteries and bulbs to a collection point."
    ),
}
FOR_OTHER_CLASSES = _("Ask your local waste service which bin this goes in.")
