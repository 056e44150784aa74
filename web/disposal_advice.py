"""The disposal advice for each class. A Python table, because Babel extracts its sentences for translation."""

from flask_babel import lazy_gettext as _

ADVICE = {  # class -> what to do with it
    "cardboard": _("Flatten it and keep it dry; wet or greasy cardboard goes to compost. It is collected with paper."),
    "glass": _("Rinse it and take off the lid. Bottles and jars go to glass; mirrors and drinking glasses do not."),
    "metal": _("Rinse cans and press them flat. Cans, foil and lids go to metal."),
    "paper": _("Keep it dry and clean. Tissues, receipts and coated paper do not belong to paper."),
    "plastic": _(
        "Rinse it and put the cap back on. Bottles and tubs are recycled; look for the number in the triangle."
    ),
    "trash": _(
        "What cannot be recycled or composted goes to the residual bin. Take batteries and lamps to a collector."
    ),
}
FOR_OTHER_CLASSES = _("Ask your waste collector where this kind belongs.")
