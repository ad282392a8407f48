"""BatchNorm back from folded weights: statistics measured anew, outputs unchanged."""
import torch


@torch.no_grad()
def restore_norms(network, pairs, batches):
    """`pairs`: (name, convolution, norm) with mean 0, variance 1 and the folded bias in each norm. Measures every
    convolution's output on `batches` and moves mean and variance into the norms, so that the outputs stay the same
    while training can go on."""
    sums, hooks = {}, []

    def watch(name):
        def hook(_, __, out):
            flat = out.transpose(0, 1).flatten(1).double()
            entry = sums.setdefault(name, [0, 0, 0])
            for i, value in enumerate((flat.sum(1), (flat ** 2).sum(1), flat.shape[1])):
                entry[i] = entry[i] + value
        return hook
    for name, convolution, _ in pairs:
        hooks.append(convolution.register_forward_hook(watch(name)))
    network.eval()
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for name, _, norm in pairs:
        total, square, count = sums[name]
        mean = total / count
        variance = (square / count - mean ** 2).clamp_min(1e-8)
        norm.bias.add_(mean.float())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
    network.train()
