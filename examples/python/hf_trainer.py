"""Trains a small Llama with the Hugging Face `Trainer`. The lines marked `stepwell` are all that Stepwell needs."""

import argparse
import pathlib

import stepwell  # stepwell
import torch
from stepwell.integrations.transformers import StepwellCallback  # stepwell
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

parser = argparse.ArgumentParser()
parser.add_argument("--data", default=__file__)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--out", default="model")
args = parser.parse_args()

set_seed(1)
text = pathlib.Path(args.data).read_bytes()
length = 64


class Windows(torch.utils.data.Dataset):
    """Overlapping windows of bytes; a part of the inputs is noise, so that the data use random numbers, too."""

    def __init__(self, first, last):
        self.starts = list(range(first, last - length, 8))

    def __len__(self):
        return len(self.starts)

    def __getitem__(self, index):
        start = self.starts[index]
        labels = torch.tensor(list(text[start : start + length]))
        noisy = torch.where(torch.rand(length) < 0.05, torch.randint(256, (length,)), labels)
        return {"input_ids": noisy, "labels": labels}


config = LlamaConfig(
    vocab_size=256,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=length,
    attention_dropout=0.1,
)
split = len(text) * 9 // 10
trainer = Trainer(
    model=LlamaForCausalLM(config),
    args=TrainingArguments(
        output_dir="trainer",
        num_train_epochs=args.epochs,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=2e-3,
        lr_scheduler_type="cosine",
        warmup_steps=10,
        logging_steps=3,
        eval_strategy="steps",
        eval_steps=25,
        save_steps=10,
        save_total_limit=2,
        dataloader_num_workers=args.workers,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    ),
    train_dataset=Windows(0, split),
    eval_dataset=Windows(split, len(text)),
)
trainer.add_callback(StepwellCallback(trainer))  # stepwell
trainer.train(resume_from_checkpoint=stepwell.checkpoint.folder())  # stepwell (was: trainer.train())
trainer.save_model(args.out)
