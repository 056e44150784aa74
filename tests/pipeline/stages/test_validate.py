import logging

import pytest

from components.publish import validate
from pipeline.stages import validate as stage


@pytest.mark.parametrize(("same_class", "warned"), [(1.0, False), (0.95, False), (0.949, True), (0.0, True)])
def test_low_agreement_of_the_web_jpegs_is_a_warning(caplog, same_class, warned):
    caplog.set_level(logging.INFO, "pilah")
    stage._log_web_agreement(validate.WebAgreement(500, same_class, 0.004, 0.2))
    info, *warnings = caplog.records
    assert f"{same_class:.1%} of 500 photos keep their class" in info.getMessage()
    assert "by 0.0040 on average and 0.2000 at most" in info.getMessage()
    assert [record.levelname for record in warnings] == ["WARNING"] * warned
