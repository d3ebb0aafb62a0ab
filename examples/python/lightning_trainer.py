"""Trains a small network with Lightning. The lines marked `stepwell` are all that Stepwell needs."""

import argparse
import math

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from stepwell.integrations.lightning import StepwellCallback  # stepwell
from torch import nn
from torch.utils.data import DataLoader, Dataset

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--out", default="model.pt")
args = parser.parse_args()


class Waves(Dataset):
    """Noisy sines and their frequency: the noise is drawn anew each time, as augmentation is."""

    def __init__(self, count, noise):
        self.count, self.noise = count, noise

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        frequency = 1 + 9 * index / self.count
        wave = torch.sin(torch.linspace(0, 2 * math.pi, 64) * frequency)
        return wave + self.noise * torch.randn(64), torch.tensor([frequency])


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Dropout(0.1), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.mse_loss(self.net(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=args.epochs * 64)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


seed_everything(1, workers=True)
model = Model()
trainer = Trainer(
    max_epochs=args.epochs,
    accelerator="cpu",
    val_check_interval=0.5,
    log_every_n_steps=3,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    callbacks=[StepwellCallback(every_n_steps=10)],  # stepwell
)
trainer.fit(
    model,
    DataLoader(Waves(1024, 0.1), batch_size=16, shuffle=True, num_workers=args.workers),
    DataLoader(Waves(128, 0.1), batch_size=32, num_workers=args.workers),
    ckpt_path=StepwellCallback.last(),  # stepwell
)
torch.save(model.state_dict(), args.out)
