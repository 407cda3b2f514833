import math

import pytest
import torch

from idiff.diffusion.preference import implicit_reward, preference_accuracy, preference_loss


def test_equation_14_by_hand():
    """Two pairs with errors of model and reference, beta T omega = 10."""
    chosen = implicit_reward(torch.tensor([0.10, 0.30]), torch.tensor([0.20, 0.25]), beta=10.0)
    rejected = implicit_reward(torch.tensor([0.50, 0.20]), torch.tensor([0.40, 0.40]), beta=10.0)
    torch.testing.assert_close(chosen, torch.tensor([1.0, -0.5]))
    torch.testing.assert_close(rejected, torch.tensor([-1.0, 2.0]))
    # -log sigmoid(2) and -log sigmoid(-2.5)
    by_hand = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(2.5))) / 2
    assert float(preference_loss(chosen, rejected)) == pytest.approx(by_hand, abs=1e-6)
    assert float(preference_accuracy(chosen, rejected)) == 0.5


def test_a_model_that_is_its_reference_has_the_loss_log_2_and_is_undecided():
    error = torch.rand(8, generator=torch.Generator().manual_seed(0))
    reward = implicit_reward(error, error, beta=2500.0)
    assert float(preference_loss(reward, reward.clone())) == pytest.approx(math.log(2))
    assert float(preference_accuracy(reward, reward)) == 0.5


def test_the_gradient_lowers_the_error_of_the_chosen_and_raises_that_of_the_rejected():
    errors = torch.tensor([[0.3], [0.3]], requires_grad=True)
    rewards = implicit_reward(errors, torch.full((2, 1), 0.3), beta=4.0)
    preference_loss(rewards[0], rewards[1]).backward()
    # d/d error of -log sigmoid(-beta (w - l)) at 0 is beta / 2 for the chosen, -beta / 2 for the rejected
    torch.testing.assert_close(errors.grad, torch.tensor([[2.0], [-2.0]]))


def test_it_stays_finite_far_from_the_reference():
    far = implicit_reward(torch.tensor([1e3]), torch.tensor([0.0]), beta=2500.0)
    assert torch.isfinite(preference_loss(far, -far))
    assert float(preference_loss(-far, far)) == 0.0
