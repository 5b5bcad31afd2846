import pytest

from drl_latent.registry import Registry, UnknownNameError


def test_registers_and_finds():
    registry: Registry[type] = Registry("thing")

    @registry.register("one")
    class One:
        pass

    assert registry["one"] is One
    assert list(registry) == ["one"]


def test_a_name_is_taken_once():
    registry: Registry[int] = Registry("thing")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="'one' is registered already"):
        registry.register("one")(2)
    assert registry["one"] == 1


def test_unknown_name_lists_the_choices_and_the_nearest():
    registry: Registry[int] = Registry("objective")
    registry.register("beta_vae")(1)
    registry.register("factor_vae")(2)
    with pytest.raises(UnknownNameError) as caught:
        registry["betavae"]
    assert str(caught.value) == (
        "Unknown objective 'betavae'. Did you mean 'beta_vae'? Choose from: beta_vae, factor_vae."
    )
    assert "zzz" not in registry
    assert registry.get("zzz") is None
