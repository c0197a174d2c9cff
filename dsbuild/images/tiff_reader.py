"""Pillow's reader of TIFFs, without its limit of pixels."""

from PIL import Image, TiffImagePlugin

_ORIENTATION = 0x0112  # TIFF 6.0; 5 to 8 swap height and width


class TiffReader(TiffImagePlugin.TiffImageFile):
    """A TIFF whose memory is taken without another look at Pillow's limit."""

    def load_prepare(self) -> None:
        """Take memory for the pixels."""
        turned = self.tag_v2.get(_ORIENTATION, 1) in range(5, 9)
        size = self.size[::-1] if turned else self.size
        self.im = Image.new(self.mode, size, None).im
        super().load_prepare()
