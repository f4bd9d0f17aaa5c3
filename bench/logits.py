"""timm's logits of real photos, for bench/logits.ts to compare ours with on equal pixels.

    python bench/logits.py --data photos --weights tf_efficientnet_lite0.safetensors --out logits.safetensors
    npm run bench -- logits logits.safetensors tf_efficientnet_lite0.safetensors

Writes the pixels of every image below the folder, scaled and cut as timm evaluates (224 px of the middle 87.5 %, bicubic), and the
1,000 logits of each.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/golden/torch"))
from common import torch  # noqa: E402  isort: skip

import timm  # noqa: E402
import torchvision.transforms.v2 as transforms  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

EVALUATION = transforms.Compose([
    transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
    transforms.CenterCrop(224),
    transforms.PILToTensor(),
])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "weights", "out"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    torch.backends.mkldnn.enabled = True
    files = sorted(f for f in Path(options.data).rglob("*") if f.suffix.lower() in (".jpg", ".jpeg", ".png"))
    model = timm.create_model("tf_efficientnet_lite0").eval()
    model.load_state_dict(load_file(options.weights))
    pixels = torch.stack([EVALUATION(Image.open(f).convert("RGB")) for f in files])
    with torch.inference_mode():
        logits = torch.cat([model(part.float() / 127.5 - 1) for part in pixels.split(4)])
    save_file({"pixels": pixels.permute(0, 2, 3, 1).contiguous(), "logits": logits.contiguous()}, options.out)
    print(f"{len(files)} images")


if __name__ == "__main__":
    main()
