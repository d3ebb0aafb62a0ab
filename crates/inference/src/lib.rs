//! Text from models: continuous batching on the CPU. A row has equal bits in any company.
