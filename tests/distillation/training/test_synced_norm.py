import torch
from torch import multiprocessing, nn

from distillation.training.synced_norm import SyncedBatchNorm2d, synced

PROCESSES = 2


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2))


def batch() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 3 + 1


def part(rank: int, port: int, queue: multiprocessing.Queue) -> None:
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=PROCESSES)
    model = nn.parallel.DistributedDataParallel(synced(network(), torch.device("cpu")))
    for _ in range(2):
        model(batch().chunk(PROCESSES)[rank]).square().mean().backward()
    if rank == 0:
        tensors = dict(model.module.named_buffers())
        tensors |= {f"{key}.grad": value.grad for key, value in model.module.named_parameters()}
        queue.put({key: value.detach().numpy() for key, value in tensors.items()})
    torch.distributed.destroy_process_group()


def test_parts_on_two_processes_give_the_gradients_and_statistics_of_the_whole_batch(free_port):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=part, args=(rank, free_port, queue)) for rank in range(PROCESSES)]
    for process in processes:
        process.start()
    found = queue.get(timeout=60)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0

    model = network()
    for _ in range(2):
        model(batch()).square().mean().backward()
    tensors = dict(model.named_buffers()) | {f"{key}.grad": value.grad for key, value in model.named_parameters()}
    assert tensors.keys() == found.keys()
    for key, value in tensors.items():
        torch.testing.assert_close(torch.from_numpy(found[key]), value, rtol=1e-4, atol=1e-5, msg=key)


def test_weights_keys_and_eval_mode_are_those_of_batch_norm():
    model = network()
    model(batch())
    other = synced(network(), torch.device("cpu"))
    assert sum(isinstance(module, SyncedBatchNorm2d) for module in other.modules()) == 2
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.eval()(batch()), model.eval()(batch()))
