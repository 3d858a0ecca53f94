// Runs the kernels without Python, for processors that are only emulated.
//
//     kernel_driver INPUT OUTPUT
//
// INPUT: extents t x y z and the number of chains (int32), links and momenta in the torch layout.
// OUTPUT: sums (float64), then fields in the torch layout, as tests/fast/test_every_processor.py has them.
#include <cstdio>

#include "exports.cpp"

namespace {

FILE* output;

template <class Number>
void write(const std::vector<Number>& numbers) {
    std::fwrite(numbers.data(), sizeof(Number), numbers.size(), output);
}

// A field in blocks: whole vectors where the kernels expect them.
struct Blocks {
    std::vector<real> room;
    vec* at;
    explicit Blocks(long vectors) : room((vectors + 1) * LANES) {
        at = (vec*)(((size_t)room.data() + WIDTH - 1) / WIDTH * WIDTH);
    }
};

}  // namespace

int main(int, char** arguments) {
    int head[5];
    FILE* input = std::fopen(arguments[1], "rb");
    output = std::fopen(arguments[2], "wb");
    if (!input || !output || std::fread(head, sizeof(int), 5, input) != 5) return 1;
    const Lattice lattice(head);
    const long chains = head[4], matrices = chains * 4 * sites(lattice);
    std::vector<real> links(matrices * LINK), momenta(matrices * LINK), field(matrices * LINK);
    if (std::fread(links.data(), sizeof(real), links.size(), input) != links.size()) return 1;
    if (std::fread(momenta.data(), sizeof(real), momenta.size(), input) != momenta.size()) return 1;

    Call call = {&lattice, chains, 2};
    const long count = chains * lattice.blocks;
    Blocks u(count * 4 * LINK), moved(count * 4 * LINK), p(count * 4 * ALGEBRA),
        f(count * 4 * ALGEBRA), density(count), room(count * 2 * ANTIHERMITIAN);
    to_blocks(&call, LINK, links.data(), (real*)u.at);
    algebra_to_blocks(&call, -1, momenta.data(), p.at);

    std::vector<double> planes(6 * chains), same(6 * chains), one(chains), three(3 * chains);
    torch_plaquettes(&call, links.data(), planes.data());
    plaquettes(&call, u.at, same.data());
    write(planes);
    write(same);
    rectangles(&call, u.at, one.data());
    write(one);
    clover(&call, 1, u.at, three.data());
    write(three);
    square_sum(chains, momenta.size() / chains, 2, momenta.data(), one.data());
    write(one);
    inner(&call, ALGEBRA, p.at, p.at, one.data());
    write(one);
    const int sides[4] = {1, 1, 2, 1};
    const double weights[2] = {1.5, -0.5};
    for (long i = 0; i < count; i++) density.at[i] = vec{};
    add_charge(&call, 1, 2, sides, weights, u.at, room.at, density.at);
    site_sum(&call, density.at, one.data());
    write(one);

    from_blocks(&call, LINK, (const real*)u.at, field.data());
    write(field);
    force(&call, 6.0, -0.1, u.at, 0.0, nullptr, 1.0, f.at, nullptr, nullptr);
    algebra_from_blocks(&call, -1, f.at, field.data());
    write(field);
    laplacian(&call, 0, -1, u.at, p.at, f.at);
    algebra_from_blocks(&call, -1, f.at, field.data());
    write(field);
    exp_multiply_blocks(&call, 0.7, p.at, u.at, moved.at);
    from_blocks(&call, LINK, (const real*)moved.at, field.data());
    write(field);
    exp_multiply(matrices, 2, 0.7, momenta.data(), links.data(), field.data());
    write(field);
    staples(&call, 0, -1, u.at, moved.at);
    from_blocks(&call, LINK, (const real*)moved.at, field.data());
    write(field);
    return std::fclose(output);
}
