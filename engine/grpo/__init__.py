"""Reinforcement learning with GRPO: data, rewards, rollouts, advantages, loss, the trainer and its runs."""
