#include "partitioning/mig/profiles.h"

#include <algorithm>
#include <array>

namespace tepal::mig {

namespace {

// Legal starts, bit by bit.
constexpr uint16_t kAny7 = 0b0111'1111;   // 1g: the eighth memory slice is out of its reach.
constexpr uint16_t kEven4 = 0b0101'0101;  // 1g with the memory of two.
constexpr uint16_t kEven3 = 0b0001'0101;  // 2g
constexpr uint16_t kHalves = 0b0001'0001;
constexpr uint16_t kFirst = 0b0000'0001;
constexpr uint16_t kAny4 = 0b0000'1111;
constexpr uint16_t kEven2 = 0b0000'0101;

// name, NVML's number, driver's id, compute, memory, starts, MiB, SM, copy, decode, JPEG, OFA
constexpr Profile kA30[] = {
    {"1g.6gb", 0, 14, 1, 1, kAny4, 5836, 14, 1, 0, 0, 0},
    {"1g.6gb+me", 7, 21, 1, 1, kAny4, 5836, 14, 1, 1, 1, 1},
    {"2g.12gb", 1, 5, 2, 2, kEven2, 11672, 28, 2, 2, 0, 0},
    {"2g.12gb+me", 8, 6, 2, 2, kEven2, 11672, 28, 2, 2, 1, 1},
    {"4g.24gb", 3, 0, 4, 4, kFirst, 23344, 56, 4, 4, 1, 1},
};
constexpr Profile kA100x40[] = {
    {"1g.5gb", 0, 19, 1, 1, kAny7, 4864, 14, 1, 0, 0, 0},
    {"1g.5gb+me", 7, 20, 1, 1, kAny7, 4864, 14, 1, 1, 1, 1},
    {"1g.10gb", 9, 15, 1, 2, kEven4, 9856, 14, 1, 1, 0, 0},
    {"2g.10gb", 1, 14, 2, 2, kEven3, 9856, 28, 2, 1, 0, 0},
    {"3g.20gb", 2, 9, 3, 4, kHalves, 19968, 42, 3, 2, 0, 0},
    {"4g.20gb", 3, 5, 4, 4, kFirst, 19968, 56, 4, 2, 0, 0},
    {"7g.40gb", 4, 0, 7, 8, kFirst, 40192, 98, 7, 5, 1, 1},
};
constexpr Profile kA100x80[] = {
    {"1g.10gb", 0, 19, 1, 1, kAny7, 9856, 14, 1, 0, 0, 0},
    {"1g.10gb+me", 7, 20, 1, 1, kAny7, 9856, 14, 1, 1, 1, 1},
    {"1g.20gb", 9, 15, 1, 2, kEven4, 19968, 14, 1, 1, 0, 0},
    {"2g.20gb", 1, 14, 2, 2, kEven3, 19968, 28, 2, 1, 0, 0},
    {"3g.40gb", 2, 9, 3, 4, kHalves, 40192, 42, 3, 2, 0, 0},
    {"4g.40gb", 3, 5, 4, 4, kFirst, 40192, 56, 4, 2, 0, 0},
    {"7g.80gb", 4, 0, 7, 8, kFirst, 80384, 98, 7, 5, 1, 1},
};
// Read from the devices with driver 580.159.04: every column of these two.
constexpr Profile kH100[] = {
    {"1g.10gb", 0, 19, 1, 1, kAny7, 9984, 16, 1, 1, 1, 0},
    {"1g.10gb+me", 7, 20, 1, 1, kAny7, 9984, 16, 1, 1, 1, 1},
    {"1g.20gb", 9, 15, 1, 2, kEven4, 20096, 26, 1, 1, 1, 0},
    {"2g.20gb", 1, 14, 2, 2, kEven3, 20096, 32, 2, 2, 2, 0},
    {"3g.40gb", 2, 9, 3, 4, kHalves, 40448, 60, 3, 3, 3, 0},
    {"4g.40gb", 3, 5, 4, 4, kFirst, 40448, 64, 4, 4, 4, 0},
    {"7g.80gb", 4, 0, 7, 8, kFirst, 81152, 132, 8, 7, 7, 1},
};
constexpr Profile kH200[] = {
    {"1g.18gb", 0, 19, 1, 1, kAny7, 16384, 16, 1, 1, 1, 0},
    {"1g.18gb+me", 7, 20, 1, 1, kAny7, 16384, 16, 1, 1, 1, 1},
    {"1g.35gb", 9, 15, 1, 2, kEven4, 33280, 26, 1, 1, 1, 0},
    {"2g.35gb", 1, 14, 2, 2, kEven3, 33280, 32, 2, 2, 2, 0},
    {"3g.71gb", 2, 9, 3, 4, kHalves, 71424, 60, 3, 3, 3, 0},
    {"4g.71gb", 3, 5, 4, 4, kFirst, 71424, 64, 4, 4, 4, 0},
    {"7g.141gb", 4, 0, 7, 8, kFirst, 143360, 132, 8, 7, 7, 1},
};
constexpr Profile kB200[] = {
    {"1g.23gb", 0, 19, 1, 1, kAny7, 23552, 18, 1, 1, 1, 0},
    {"1g.23gb+me", 7, 20, 1, 1, kAny7, 23552, 18, 1, 1, 1, 1},
    {"1g.45gb", 9, 15, 1, 2, kEven4, 46080, 18, 1, 1, 1, 0},
    {"2g.45gb", 1, 14, 2, 2, kEven3, 46080, 36, 2, 2, 2, 0},
    {"3g.90gb", 2, 9, 3, 4, kHalves, 92160, 54, 3, 3, 3, 0},
    {"4g.90gb", 3, 5, 4, 4, kFirst, 92160, 72, 4, 4, 4, 0},
    {"7g.180gb", 4, 0, 7, 8, kFirst, 184320, 126, 8, 7, 7, 1},
};

// Others of the same build: names of 1g, 1g+me, 1g with the memory of two, 2g, 3g, 4g, 7g.
using Names = std::array<std::string_view, 7>;
constexpr std::array<Profile, 7> SevenSlices(const Names& name, int slice_mib, int slice_sms,
                                             int all_sms) {
  return {{
      {name[0], 0, 19, 1, 1, kAny7, slice_mib, slice_sms, 1, 1, 1, 0},
      {name[1], 7, 20, 1, 1, kAny7, slice_mib, slice_sms, 1, 1, 1, 1},
      {name[2], 9, 15, 1, 2, kEven4, slice_mib * 2, slice_sms, 1, 1, 1, 0},
      {name[3], 1, 14, 2, 2, kEven3, slice_mib * 2, slice_sms * 2, 2, 2, 2, 0},
      {name[4], 2, 9, 3, 4, kHalves, slice_mib * 4, slice_sms * 3, 3, 3, 3, 0},
      {name[5], 3, 5, 4, 4, kFirst, slice_mib * 4, slice_sms * 4, 4, 4, 4, 0},
      {name[6], 4, 0, 7, 8, kFirst, slice_mib * 8, all_sms, 8, 7, 7, 1},
  }};
}
constexpr auto kH100Nvl =
    SevenSlices({"1g.12gb", "1g.12gb+me", "1g.24gb", "2g.24gb", "3g.47gb", "4g.47gb", "7g.94gb"},
                11776, 16, 132);
constexpr auto kGh200 =
    SevenSlices({"1g.12gb", "1g.12gb+me", "1g.24gb", "2g.24gb", "3g.48gb", "4g.48gb", "7g.96gb"},
                12032, 16, 132);
constexpr auto kGh200x144 =
    SevenSlices({"1g.18gb", "1g.18gb+me", "1g.36gb", "2g.36gb", "3g.72gb", "4g.72gb", "7g.144gb"},
                18176, 16, 132);
constexpr auto kB300 =
    SevenSlices({"1g.34gb", "1g.34gb+me", "1g.67gb", "2g.67gb", "3g.135gb", "4g.135gb", "7g.269gb"},
                34304, 18, 148);
constexpr auto kGb200 =
    SevenSlices({"1g.23gb", "1g.23gb+me", "1g.47gb", "2g.47gb", "3g.93gb", "4g.93gb", "7g.186gb"},
                23552, 18, 152);
constexpr auto kGb200x189 =
    SevenSlices({"1g.24gb", "1g.24gb+me", "1g.47gb", "2g.47gb", "3g.95gb", "4g.95gb", "7g.189gb"},
                23552, 18, 152);
constexpr auto kGb300 =
    SevenSlices({"1g.35gb", "1g.35gb+me", "1g.70gb", "2g.70gb", "3g.139gb", "4g.139gb", "7g.278gb"},
                35328, 18, 152);
// Graphics, and media engines all for one or for none.
constexpr Profile kRtxPro6000[] = {
    {"1g.24gb", 0, 14, 1, 1, kAny4, 24192, 46, 1, 1, 1, 0},
    {"1g.24gb+me", 7, 21, 1, 1, kAny4, 24192, 46, 1, 1, 1, 1},
    {"1g.24gb+gfx", 10, 47, 1, 1, kAny4, 24192, 46, 1, 1, 1, 0},
    {"1g.24gb-me", 13, 67, 1, 1, kAny4, 24192, 46, 1, 0, 0, 0},
    {"1g.24gb+me.all", 15, 65, 1, 1, kAny4, 24192, 46, 1, 4, 4, 1},
    {"2g.48gb", 1, 5, 2, 2, kEven2, 48512, 94, 2, 2, 2, 0},
    {"2g.48gb+gfx", 11, 35, 2, 2, kEven2, 48512, 94, 2, 2, 2, 0},
    {"2g.48gb-me", 14, 66, 2, 2, kEven2, 48512, 94, 2, 0, 0, 0},
    {"2g.48gb+me.all", 16, 64, 2, 2, kEven2, 48512, 94, 2, 4, 4, 1},
    {"4g.96gb", 3, 0, 4, 4, kFirst, 97280, 188, 4, 4, 4, 1},
    {"4g.96gb+gfx", 12, 32, 4, 4, kFirst, 97280, 188, 4, 4, 4, 1},
};

constexpr Architecture kAmpere = Architecture::kAmpere;
constexpr Architecture kHopper = Architecture::kHopper;
constexpr Architecture kBlackwell = Architecture::kBlackwell;

// name, alias, PCI, architecture, compute, memory, MiB, confirmed, profiles
constexpr GpuModel kModels[] = {
    {"NVIDIA A30", "A30", 0x20B710DE, kAmpere, 4, 4, 24576, false, kA30},
    {"NVIDIA A100-SXM4-40GB", "A100-40", 0x20B010DE, kAmpere, 7, 8, 40960, false, kA100x40},
    {"NVIDIA A100-SXM4-80GB", "A100-80", 0x20B210DE, kAmpere, 7, 8, 81920, false, kA100x80},
    {"NVIDIA H100 80GB HBM3", "H100", 0x233010DE, kHopper, 7, 8, 81559, true, kH100},
    {"NVIDIA H200", "H200", 0x233510DE, kHopper, 7, 8, 143771, true, kH200},
    {"NVIDIA B200", "B200", 0x290110DE, kBlackwell, 7, 8, 184320, false, kB200},
    {"NVIDIA H100 NVL", "H100-94", 0x232110DE, kHopper, 7, 8, 95830, false, kH100Nvl},
    {"NVIDIA GH200 480GB", "GH200", 0x234210DE, kHopper, 7, 8, 97871, false, kGh200},
    {"NVIDIA GH200 144G HBM3e", "GH200-144", 0x234810DE, kHopper, 7, 8, 146831, false, kGh200x144},
    {"NVIDIA B300", "B300", 0x318210DE, kBlackwell, 7, 8, 275040, false, kB300},
    {"NVIDIA GB200", "GB200", 0x294110DE, kBlackwell, 7, 8, 189471, false, kGb200},
    // As some drivers name its profiles.
    {"NVIDIA GB200 189GB", "GB200-189", 0x294110DE, kBlackwell, 7, 8, 189471, false, kGb200x189},
    {"NVIDIA GB300", "GB300", 0x31C210DE, kBlackwell, 7, 8, 284208, false, kGb300},
    {"NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX-PRO-6000", 0x2BB510DE, kBlackwell, 4, 4,
     97887, false, kRtxPro6000, 4},
};

template <typename Table, typename Predicate>
auto* Find(const Table& table, Predicate predicate) {
  const auto found = std::find_if(std::begin(table), std::end(table), predicate);
  return found == std::end(table) ? nullptr : &*found;
}

// Labels and resource names have "." for "+".
bool SameName(std::string_view name, std::string_view spelled) {
  return std::equal(name.begin(), name.end(), spelled.begin(), spelled.end(),
                    [](char a, char b) { return a == b || (a == '+' && b == '.'); });
}

}  // namespace

std::span<const GpuModel> GpuModels() { return kModels; }

const GpuModel* FindGpuModel(std::string_view name) {
  return Find(kModels, [&](const GpuModel& m) { return m.name == name || m.alias == name; });
}

const Profile* FindProfile(const GpuModel& model, std::string_view name) {
  return Find(model.profiles, [&](const Profile& p) { return SameName(p.name, name); });
}

const Profile* FindProfileByDriverId(const GpuModel& model, int driver_id) {
  return Find(model.profiles, [&](const Profile& p) { return p.driver_id == driver_id; });
}

uint16_t ComputeStarts(const Profile& profile, int slices) {
  const int whole = profile.compute_slices;
  if (slices == whole) return kFirst;
  if (slices < 1 || slices > whole) return 0;
  switch (slices) {
    case 1:
      return static_cast<uint16_t>((1 << whole) - 1);
    case 2:
      return whole == 7 ? kEven3 : whole == 4 ? kEven2 : kFirst;
    case 3:
      return whole == 7 ? kHalves : 0;
    case 4:
      return kFirst;
    default:
      return 0;
  }
}

bool ComputeFits(const Profile& profile, std::vector<int> sizes, unsigned used) {
  if (sizes.empty()) return true;
  const auto largest = std::max_element(sizes.begin(), sizes.end());
  const int size = *largest;
  sizes.erase(largest);
  const unsigned starts = ComputeStarts(profile, size);
  for (int start = 0; start < kSlicesMax; ++start) {
    const unsigned slices = ((1U << size) - 1) << start;
    if ((starts >> start & 1) == 0 || (used & slices) != 0) continue;
    if (ComputeFits(profile, sizes, used | slices)) return true;
  }
  return false;
}

int ComputeMultiprocessors(const GpuModel& model, const Profile& profile, int slices) {
  if (slices == profile.compute_slices) return profile.multiprocessors;
  return model.profiles.front().multiprocessors * slices;
}

std::string MigDeviceName(const Profile& profile, int compute_slices) {
  if (compute_slices == profile.compute_slices) return std::string(profile.name);
  return std::to_string(compute_slices) + "c." + std::string(profile.name);
}

}  // namespace tepal::mig
