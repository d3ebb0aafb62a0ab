"""Arrays and data loaders; each test is skipped without its library."""

import importlib.util
import pathlib
import random
import tempfile
import unittest
import warnings

from engine import InsideTest

import stepwell
from stepwell import _state, checkpoint

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_TORCH = importlib.util.find_spec("torch") is not None
warnings.filterwarnings("ignore", message=".*NumPy.*")


def round_trip(state):
    with tempfile.TemporaryDirectory() as folder:
        _state.write(pathlib.Path(folder), state)
        return _state.read(pathlib.Path(folder))


@unittest.skipUnless(HAS_NUMPY, "needs numpy")
class Numpy(InsideTest):
    def test_arrays_of_every_type(self):
        import numpy

        for kind in "f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1 b1 c8 c16 >f4 >c8".split():
            for array in (numpy.arange(6).reshape(2, 3).T, numpy.array(3), numpy.zeros((0, 4)), numpy.arange(9)[::-2]):
                array = array.astype(kind)
                found = round_trip({"a": array})["a"]
                self.assertEqual((found.dtype, found.shape), (array.dtype.newbyteorder("="), array.shape))
                self.assertEqual(found.tobytes(), array.astype(array.dtype.newbyteorder("=")).tobytes())
                self.assertTrue(found.flags.writeable)

    def test_scalars_keep_their_type(self):
        import numpy

        found = round_trip({"a": numpy.float64(0.1), "b": numpy.int32(3), "c": [numpy.bool_(True)]})
        self.assertEqual([type(found["a"]), type(found["b"]), type(found["c"][0])], [numpy.float64, numpy.int32, numpy.bool_])

    def test_what_has_no_plain_bytes_is_refused(self):
        import numpy

        for array in (numpy.array([object()]), numpy.array(["text"]), numpy.array("2020", dtype="M8[D]")):
            with self.assertRaisesRegex(TypeError, "`a.0` is an array of"):
                round_trip({"a": [array]})

    def test_a_damaged_file_is_refused(self):
        import numpy

        for damage in (lambda data: data[:-1], lambda data: data[:4], lambda data: b"\xff" * 8 + data[8:]):
            with tempfile.TemporaryDirectory() as folder:
                _state.write(pathlib.Path(folder), {"a": numpy.arange(9)})
                path = pathlib.Path(folder) / "arrays.safetensors"
                path.write_bytes(damage(path.read_bytes()))
                with self.assertRaisesRegex(ValueError, "damaged"):
                    _state.read(pathlib.Path(folder))

    def test_random_numbers_continue(self):
        import numpy

        numpy.random.seed(1)
        numpy.random.normal()
        checkpoint.save(1, {})
        expected = [numpy.random.rand(), numpy.random.normal()]
        numpy.random.seed(2)
        checkpoint.last().restore_random()
        self.assertEqual([numpy.random.rand(), numpy.random.normal()], expected)

    def test_metrics_and_values(self):
        import numpy

        stepwell.metrics(numpy.int64(1), a=numpy.float32(0.1), b=numpy.array([2.0]), c=numpy.float64("nan"))
        self.assertEqual(self.engine.rows(), [{"step": 1, "a": float(numpy.float32(0.1)), "b": 2.0, "c": None}])
        with self.assertRaisesRegex(TypeError, "`a` is ndarray, not one number"):
            stepwell.metrics(1, a=numpy.zeros(2))
        stepwell.values(a=numpy.arange(2), b=numpy.float32(1.5))
        self.assertEqual((self.engine.root / "values.json").read_text(), '{"a": [0, 1], "b": 1.5}')


@unittest.skipUnless(HAS_TORCH, "needs torch")
class Torch(InsideTest):
    def test_tensors_of_every_type(self):
        import torch

        names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 float8_e4m3fn uint16"
        for name in names.split():
            for tensor in (torch.arange(6).reshape(2, 3).T, torch.tensor(3), torch.zeros(0, 4), torch.arange(9)[::2]):
                tensor = tensor.to(getattr(torch, name))
                found = round_trip({"a": tensor})["a"]
                self.assertEqual((found.dtype, found.shape), (tensor.dtype, tensor.shape))
                self.assertEqual(found.contiguous().flatten().view(torch.uint8).tolist() if found.numel() else [],
                                 tensor.contiguous().flatten().view(torch.uint8).tolist() if tensor.numel() else [])

    def test_what_has_no_plain_bytes_is_refused(self):
        import torch

        for tensor in (torch.zeros(2, 2).to_sparse(), torch.empty(2, device="meta")):
            with self.assertRaisesRegex(TypeError, "`a` is a"):
                round_trip({"a": tensor})

    def test_other_programs_can_read_the_arrays(self):
        try:
            from safetensors.torch import load_file
        except ImportError:
            self.skipTest("needs safetensors")
        import torch

        checkpoint.save(1, {"model": {"a.weight": torch.arange(6.0).reshape(2, 3)}, "b": torch.tensor(1, dtype=torch.bfloat16)})
        found = load_file(checkpoint.last().folder / "arrays.safetensors")
        self.assertEqual(found["model.a.weight"].tolist(), [[0, 1, 2], [3, 4, 5]])
        self.assertEqual(found["b"].dtype, torch.bfloat16)

    def test_training_continues_exactly(self):
        import torch

        def parts():
            torch.manual_seed(3)
            model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
            schedulers = torch.optim.lr_scheduler
            scheduler = schedulers.SequentialLR(
                optimizer, [schedulers.LinearLR(optimizer), schedulers.MultiStepLR(optimizer, [4, 6])], [3]
            )
            return {"model": model, "optimizer": optimizer, "scheduler": scheduler}

        def train(state, steps):
            for _ in range(steps):
                loss = state["model"](torch.randn(5, 4)).square().mean()
                state["optimizer"].zero_grad()
                loss.backward()
                state["optimizer"].step()
                state["scheduler"].step()
            return [weight.detach().clone() for weight in state["model"].parameters()]

        state = parts()
        train(state, 5)
        checkpoint.save(5, state)
        expected = train(state, 5)
        state = parts()
        self.assertEqual(checkpoint.restore(state), 5)
        for found, whole in zip(train(state, 5), expected):
            self.assertTrue(torch.equal(found, whole))

    def test_metrics_of_tensors(self):
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stepwell.metrics(torch.tensor(2), loss=torch.tensor(0.5, requires_grad=True), a=torch.tensor([1]))
        self.assertEqual(self.engine.rows(), [{"step": 2, "loss": 0.5, "a": 1.0}])


@unittest.skipUnless(HAS_TORCH, "needs torch")
class Loaders(InsideTest):
    """A loader that continues gives the same batches, whatever they and the training draw."""

    def check(self, workers=0, generator=False, stop=4, ahead=False):
        import torch

        def build():
            torch.manual_seed(1)
            random.seed(1)
            own = torch.Generator().manual_seed(7) if generator else None
            loader = torch.utils.data.DataLoader(Noisy(), 2, shuffle=True, num_workers=workers, generator=own)
            return stepwell.data.Resumable(Ahead(loader) if ahead else loader)

        def read(loader, count):
            while count > 0:
                for batch in loader:
                    # The training draws in turn with the data.
                    yield batch.tolist(), torch.rand(1).item()
                    count -= 1
                    if count == 0:
                        return

        loader = build()
        reading = iter_saving(read(loader, 14), stop, lambda: checkpoint.save(stop, {"loader": loader}))
        whole = list(reading)
        loader = build()
        torch.rand(3)
        self.assertEqual(checkpoint.restore({"loader": loader}), stop)
        self.assertEqual(list(read(loader, 14 - stop)), whole[stop:])

    def test_in_the_middle_of_an_epoch(self):
        for stop in (1, 4, 5, 6, 10, 13):
            with self.subTest(stop=stop):
                self.check(stop=stop)

    def test_with_a_library_that_fetches_one_batch_ahead(self):
        for stop in (3, 5, 9):
            with self.subTest(stop=stop):
                self.check(stop=stop, ahead=True)

    def test_with_a_generator_of_its_own(self):
        self.check(generator=True)

    def test_with_workers(self):
        self.check(workers=2, stop=7)

    def test_with_an_iterable_dataset(self):
        import torch

        class Numbers(torch.utils.data.IterableDataset):
            def __iter__(self):
                return iter(range(10))

        loader = stepwell.data.Resumable(torch.utils.data.DataLoader(Numbers(), 2))
        for batch in loader:
            if loader.used == 2:
                checkpoint.save(2, {"loader": loader})
        loader = stepwell.data.Resumable(torch.utils.data.DataLoader(Numbers(), 2))
        checkpoint.restore({"loader": loader})
        self.assertEqual([batch.tolist() for batch in loader], [[4, 5], [6, 7], [8, 9]])

    def test_the_second_resume_continues_too(self):
        import torch

        def build():
            torch.manual_seed(1)
            random.seed(1)
            return stepwell.data.Resumable(torch.utils.data.DataLoader(Noisy(), 2, shuffle=True))

        whole = [batch.tolist() for batch in build()]
        found = []
        for _ in range(len(whole)):
            loader = build()
            checkpoint.restore({"loader": loader})
            for batch in loader:
                found.append(batch.tolist())
                checkpoint.save(len(found), {"loader": loader})
                break
        self.assertEqual(found, whole)


class Ahead:
    """Has one batch more than it gives out, as the loaders of accelerate."""

    def __init__(self, loader):
        self.base_dataloader = loader

    def __iter__(self):
        batches = iter(self.base_dataloader)
        batch = next(batches, None)
        while batch is not None:
            following = next(batches, None)
            yield batch
            batch = following


class Noisy:
    def __len__(self):
        return 10

    def __getitem__(self, index):
        import torch

        return torch.tensor([index + torch.rand(1).item(), random.random()])


def iter_saving(items, after, save):
    for count, item in enumerate(items, 1):
        if count == after:
            save()
        yield item


if __name__ == "__main__":
    unittest.main()
