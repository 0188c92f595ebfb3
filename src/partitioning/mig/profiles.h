// What a GPU can be cut into: the MIG profiles of each GPU model, as data.
//
// A GPU of the seven-slice kind has eight memory slices and seven compute slices; a GPU instance
// owns a run of memory slices from one of a few legal starts, and a compute instance owns a run of
// compute slices inside a GPU instance. Nothing here asks a driver: on a machine that has one, what
// it says goes before these tables. They serve the simulator, planning for machines one does not
// have, and tests. `confirmed` says whether the table was read from such a device; the others are
// put together from what is published, and their sizes of memory and counts of multiprocessors may
// be a little off. Identifiers as in NVML's ABI (nvml.h, NVML_GPU_INSTANCE_PROFILE_*).
//
// Immutable; any thread.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tepal::mig {

enum class Architecture { kAmpere, kHopper, kBlackwell };

// The most compute slices of an instance, and memory slices of a GPU.
inline constexpr int kSlicesMax = 8;
inline constexpr int kMemorySlicesMax = 16;
inline constexpr int kUnlimited = 1 << 20;

struct Profile {
  std::string_view name;  // "1g.5gb+me": what the whole instance is called.
  int nvml_profile;       // NVML's enumeration, the same on every GPU: 1_SLICE 0, 2_SLICE 1 …
  int driver_id;          // What the driver calls it, which creating wants: 19 for 1g …
  int compute_slices;
  int memory_slices;
  uint16_t starts;  // Bit n: may begin at memory slice n.
  int memory_mib;
  int multiprocessors;
  int copy_engines;
  int decoders;
  int jpeg_engines;
  int ofa_engines;  // Optical flow. What limits +me to one: there is one such engine.
};

struct GpuModel {
  std::string_view name;   // As NVML says it: "NVIDIA A100-SXM4-40GB".
  std::string_view alias;  // Short, for people: "A100-40".
  uint32_t pci_device_id;  // Device, then vendor: 0x20B010DE.
  Architecture architecture;
  int compute_slices;
  int memory_slices;
  int memory_mib;
  bool confirmed;
  std::span<const Profile> profiles;
  // What all instances together may have; +me is limited by the one optical flow engine.
  int decoders = kUnlimited;
  int ofa_engines = 1;

  // Ampere resets the GPU to switch MIG mode and remembers the mode over a reboot; later ones do
  // neither.
  bool mode_needs_reset() const { return architecture == Architecture::kAmpere; }
  bool mode_survives_reboot() const { return architecture == Architecture::kAmpere; }
};

std::span<const GpuModel> GpuModels();

// By NVML's name or by the alias; null when there is none such.
const GpuModel* FindGpuModel(std::string_view name);

// By name, also as labels and resource names have it ("1g.5gb.me"); null when there is none such.
const Profile* FindProfile(const GpuModel& model, std::string_view name);
const Profile* FindProfileByDriverId(const GpuModel& model, int driver_id);

// What may be made inside an instance of `profile`: `slices` 1, 2, 3, 4, 7 and the whole. Zero
// when there is no such compute instance there.
uint16_t ComputeStarts(const Profile& profile, int slices);
// Whether compute instances of these sizes fit in one instance together, on their legal starts.
bool ComputeFits(const Profile& profile, std::vector<int> sizes, unsigned used = 0);
int ComputeMultiprocessors(const GpuModel& model, const Profile& profile, int slices);

// "1g.5gb", or "1c.3g.20gb" for a part of the instance's compute slices.
std::string MigDeviceName(const Profile& profile, int compute_slices);

}  // namespace tepal::mig
