"""Writes nf4.safetensors: codes and values of bitsandbytes' 4-bit quantization with double quantization, on the CPU."""

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

import reference as ref


def case(weight):
    packed, state = quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)
    return {
        "weight": weight, "codes": packed.flatten().int(), "absmax": state.absmax.int(), "offset": state.offset.reshape(1),
        "absmax_of_absmax": state.state2.absmax, "values": dequantize_4bit(packed, state),
    }, state


def main():
    generator = torch.Generator().manual_seed(41)
    plain = 0.05 * torch.randn(48, 72, generator=generator)
    # Blocks of very different size, one of zeros, and a last block that is not full.
    scaled = torch.randn(7, 50, generator=generator) * torch.logspace(-4, 1, 7)[:, None]
    scaled[3] = 0.0
    tensors = {}
    for name, weight in [("plain", plain), ("scaled", scaled)]:
        found, state = case(weight)
        tensors |= {f"{name}.{key}": value for key, value in found.items()}
    tensors |= {"levels": state.code, "levels_of_absmax": state.state2.code}
    ref.write_tensors("nf4.safetensors", tensors)


if __name__ == "__main__":
    main()
