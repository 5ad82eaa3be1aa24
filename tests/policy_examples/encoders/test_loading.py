import pytest

from policy_examples.encoders import empty_encoder, load_encoder


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="encoder: accepted are xdistill, resnet18-scratch, .*, blind; got 'r3m'"):
        load_encoder("r3m")  # type: ignore[arg-type]


def test_a_description_of_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="encoder: accepted are xdistill, .*; got 'r3m'"):
        empty_encoder({"name": "r3m"})


@pytest.mark.parametrize("saved", [{"name": "xdistill"}, {"norm": "group"}])
def test_a_description_that_lacks_an_entry_is_refused(saved):
    with pytest.raises(ValueError, match="encoder: the description .* is not of this version"):
        empty_encoder(saved)


@pytest.mark.parametrize("name", ["pointnet-dp3", "blind"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint": "folder"}, "starts from random weights, got 'folder'"),
        ({"norm": "frozen"}, "comes with its own layers, got 'frozen'"),
        ({"image_size_px": 64}, "reads no images, got 64"),
        ({"readout": "spatial_softmax"}, "has 'pooled', got 'spatial_softmax'"),
    ],
)
def test_what_an_encoder_without_images_does_not_have_is_refused(name, arguments, message):
    with pytest.raises(ValueError, match=f"{name} {message}"):
        load_encoder(name, **arguments)


def test_an_unknown_norm_or_readout_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="norm: accepted for resnet18-scratch are 'frozen' and 'group', got 'layer'"):
        load_encoder("resnet18-scratch", norm="layer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="readout: resnet18-scratch has 'pooled' and 'spatial_softmax', got 'tokens'"):
        load_encoder("resnet18-scratch", readout="tokens")  # type: ignore[arg-type]
