"""Writes preferences.safetensors: TRL's DPO, ORPO and KTO on the tiny Llama of make_model.py, a few steps of AdamW in f32.

The trainers get token ids: they tokenise nothing, shuffle nothing, and take the rows in order.
"""

import copy
import os
import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, models
from torch.utils.data import SequentialSampler
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

import reference as ref
from make_lora import base

STEPS, BATCH, BETA, LR = 5, 2, 0.5, 2e-2
EOS = 1
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FIGURES = ["rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected"]


def tokenizer():
    vocab = {f"t{number}": number for number in range(67)}
    plain = Tokenizer(models.WordLevel(vocab, unk_token="t0"))
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="t1", pad_token="t1", bos_token="t2")


def answers():
    """Prompts of 2 to 4 tokens, answers of 2 to 6, each with its end."""
    generator = torch.Generator().manual_seed(91)
    draw = lambda least, most: torch.randint(
        3, 67, (int(torch.randint(least, most + 1, (1,), generator=generator)),), generator=generator
    ).tolist()
    return [
        {"prompt_ids": draw(2, 4), "chosen_ids": draw(1, 5) + [EOS], "rejected_ids": draw(1, 5) + [EOS]}
        for _ in range(2 * STEPS)
    ]


def recording(trainer):
    """The trainer's class with token ids as they are, and exact losses and figures of each step."""

    class Recording(trainer):
        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

        def tokenize_row(self, row, model=None):
            return row

        def _get_train_sampler(self, train_dataset=None):
            return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)

        def _compute_loss(self, model, inputs, return_outputs):
            loss = super()._compute_loss(model, inputs, return_outputs)
            self.losses.append(loss.detach().double())
            latest = self._metrics["train"]
            self.figures.append([float(latest[name][-1]) if latest.get(name) else 0.0 for name in FIGURES])
            return loss

        def get_batch_loss_metrics(self, model, batch, train_eval="train"):
            loss, metrics = super().get_batch_loss_metrics(model, batch, train_eval)
            self.losses.append(loss.detach().double())
            self.figures.append([metrics[name] for name in FIGURES])
            return loss, metrics

    return Recording


def settings(config, folder, **more):
    return config(
        output_dir=folder, per_device_train_batch_size=BATCH, max_steps=STEPS, learning_rate=LR, beta=BETA,
        lr_scheduler_type="constant", adam_beta2=0.95, weight_decay=0.0, max_grad_norm=0.0, report_to=[], bf16=False,
        gradient_checkpointing=False, use_cpu=True, save_strategy="no", logging_steps=1000, disable_tqdm=True,
        remove_unused_columns=False, **more,
    )


def run(trainer, config, model, rows, **more):
    with tempfile.TemporaryDirectory() as folder:
        wanted = recording(trainer)
        wanted.losses, wanted.figures = [], []
        made = wanted(
            model=model, args=settings(config, folder, **more), train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer(),
        )
        made.train()
        weights = {
            name.replace(".default", ""): tensor.detach().clone()
            for name, tensor in made.model.named_parameters() if "lora_" in name and ".ref." not in name
        }
        return torch.stack(made.losses).float(), torch.tensor(made.figures), weights


def adapter(folder, zero_b):
    """A folder with an adapter whose weights f32 holds exactly."""
    model = get_peft_model(base(), LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS, task_type="CAUSAL_LM"))
    generator = torch.Generator().manual_seed(92)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_" in name:
                drawn = 0.2 * torch.randn(tensor.shape, generator=generator)
                tensor.copy_(torch.zeros_like(drawn) if zero_b and "lora_B" in name else drawn)
    model.save_pretrained(folder)
    return {name.replace(".default", ""): tensor.detach().clone() for name, tensor in model.named_parameters() if "lora_" in name}


def fresh(tensors):
    """A new adapter, so that TRL takes the model without it as the reference."""
    model = get_peft_model(base(), LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_" in name:
                tensor.copy_(tensors[name.replace(".default", "")])
    return model


def main():
    rows, tensors = answers(), {}
    for number, row in enumerate(rows):
        for name, ids in row.items():
            tensors[f"rows.{number}.{name}"] = torch.tensor(ids, dtype=torch.int32)
    with tempfile.TemporaryDirectory() as folder:
        start = adapter(os.path.join(folder, "fresh"), True)
        old = adapter(os.path.join(folder, "old"), False)
        tensors |= {f"fresh.{name}": tensor for name, tensor in start.items()}
        tensors |= {f"old.{name}": tensor for name, tensor in old.items()}

        def keep(case, found):
            losses, figures, weights = found
            print(case, [round(value, 6) for value in losses.tolist()])
            tensors[f"{case}.losses"], tensors[f"{case}.figures"] = losses, figures
            return weights

        for loss, more in [
            ("sigmoid", {}), ("hinge", {}), ("ipo", {}), ("sigmoid_norm", {}), ("robust", {"label_smoothing": 0.2}),
        ]:
            weights = keep(loss, run(DPOTrainer, DPOConfig, fresh_model(folder, "fresh"), rows, loss_type=[loss], **more))
            if loss == "sigmoid":
                tensors |= {f"sigmoid.{name}": tensor for name, tensor in weights.items()}
        keep("continued", run(DPOTrainer, DPOConfig, fresh_model(folder, "old"), rows, loss_type=["sigmoid"]))
        keep("precomputed", run(
            DPOTrainer, DPOConfig, fresh_model(folder, "fresh"), rows, loss_type=["sigmoid"], precompute_ref_log_probs=True
        ))
        orpo = [
            {
                "prompt_input_ids": row["prompt_ids"],
                **{
                    f"{side}_{name}": value
                    for side in ("chosen", "rejected")
                    for name, value in {
                        "input_ids": row["prompt_ids"] + row[f"{side}_ids"],
                        "attention_mask": [1] * len(row["prompt_ids"] + row[f"{side}_ids"]),
                        "labels": [-100] * len(row["prompt_ids"]) + row[f"{side}_ids"],
                    }.items()
                },
            }
            for row in rows
        ]
        keep("orpo", run(ORPOTrainer, ORPOConfig, fresh_model(folder, "old"), orpo))
        kto = []
        for first in range(0, 2 * STEPS, BATCH):
            group = rows[first:first + BATCH]
            sides = ["chosen_ids", "rejected_ids"]
            completions = [row[sides[number % 2]] for number, row in enumerate(group)]
            turned = [completions[-1], *completions[:-1]]
            kto += [
                {"prompt_ids": row["prompt_ids"], "completion_ids": completion, "label": number % 2 == 0, "KL_completion_ids": other}
                for number, (row, completion, other) in enumerate(zip(group, completions, turned, strict=True))
            ]
        keep("kto", run(KTOTrainer, KTOConfig, fresh_model(folder, "old"), kto))
    ref.write_tensors("preferences.safetensors", tensors)


def fresh_model(folder, name):
    path = os.path.join(folder, name)
    if name == "old":
        return PeftModel.from_pretrained(base(), path, is_trainable=True)
    return fresh(load(path))


def load(path):
    from safetensors.torch import load_file

    return load_file(os.path.join(path, "adapter_model.safetensors"))


if __name__ == "__main__":
    main()
