// The labels by which NVIDIA's feature discovery describes a node's GPUs, so that what selects
// nodes by them goes on working. Pure.

#pragma once

#include <map>
#include <span>
#include <string>

#include "partitioning/node_agent/slots.h"

namespace tepal::node_agent {

using Labels = std::map<std::string, std::string>;

// nvidia.com/gpu.count, .product, .memory, mig.capable, mig.strategy, and with strategy mixed those
// of each kind of MIG device (nvidia.com/mig-1g.5gb.count, …). Empty without GPUs.
Labels FeatureLabels(std::span<const mig::Gpu> gpus, Strategy strategy);

// Whether a label may be one of FeatureLabels: those that are no longer true are taken off by it.
bool IsFeatureLabel(std::string_view name);

}  // namespace tepal::node_agent
