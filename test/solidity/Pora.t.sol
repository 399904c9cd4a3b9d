// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {PoraHarness} from "../doubles/PoraHarness.sol";

/// The proof as its specification words it: every intermediate value exists in memory, nothing is fused.
library PlainPora {
    function blake2b(bytes memory message) internal view returns (bytes memory state) {
        state =
            hex"48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b";
        for (uint256 done = 0; done < message.length; done += 128) {
            uint256 count = done + 128;
            bytes memory part = new bytes(128);
            for (uint256 i = 0; i < 128; ++i) part[i] = message[done + i];
            bytes memory counter = new bytes(16);
            for (uint256 i = 0; i < 8; ++i) counter[i] = bytes1(uint8(count >> (8 * i)));
            bytes1 last = count == message.length ? bytes1(0x01) : bytes1(0x00);
            (, state) = address(9).staticcall(abi.encodePacked(uint32(12), state, part, counter, last));
        }
    }

    function scratchpad(bytes memory seed) internal pure returns (bytes memory pad) {
        pad = new bytes(16384);
        bytes32[2] memory cell;
        (cell[0], cell[1]) = abi.decode(seed, (bytes32, bytes32));
        for (uint256 i = 0; i < 256; ++i) {
            cell[0] = keccak256(abi.encode(cell));
            cell[1] = keccak256(abi.encode(cell));
            for (uint256 k = 0; k < 64; ++k) pad[64 * i + k] = cell[k / 32][k % 32];
        }
    }

    function evaluate(
        bytes memory seed,
        uint256 sealOffset,
        bytes32[128] memory sealedData
    ) internal view returns (bytes32 recallSeed, bytes32 quality) {
        bytes memory pad = scratchpad(seed);
        bytes memory mixed = new bytes(4096);
        for (uint256 i = 0; i < 4096; ++i) mixed[i] = sealedData[i / 32][i % 32] ^ pad[(sealOffset % 4) * 4096 + i];
        bytes memory lastCell = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) lastCell[i] = pad[16320 + i];
        recallSeed = keccak256(lastCell);
        (quality, ) = abi.decode(blake2b(abi.encodePacked(sealOffset, seed, bytes32(0), mixed)), (bytes32, bytes32));
    }

    function sealRoot(
        bytes32 minerId,
        bytes32 contextDigest,
        uint256 position,
        bytes32[128] memory sealedData
    ) internal pure returns (bytes32) {
        bytes32[] memory level = new bytes32[](16);
        bytes32 mask = keccak256(abi.encode(minerId, contextDigest, position));
        for (uint256 sector = 0; sector < 16; ++sector) {
            bytes memory data;
            for (uint256 i = 8 * sector; i < 8 * sector + 8; ++i) {
                data = abi.encodePacked(data, sealedData[i] ^ mask);
                mask = keccak256(abi.encode(sealedData[i]));
            }
            level[sector] = keccak256(data);
        }
        for (uint256 width = 8; width > 0; width /= 2) {
            for (uint256 i = 0; i < width; ++i) level[i] = keccak256(abi.encode(level[2 * i], level[2 * i + 1]));
        }
        return level[0];
    }

    function flowRoot(bytes32 node, uint256 index, bytes32[] memory siblings) internal pure returns (bytes32) {
        for (uint256 i = 0; i < siblings.length; ++i) {
            bool right = (index >> i) & 1 == 1;
            node = right ? keccak256(abi.encode(siblings[i], node)) : keccak256(abi.encode(node, siblings[i]));
        }
        return node;
    }
}

contract PoraTest {
    PoraHarness private immutable _pora = new PoraHarness();

    function _data(bytes32 seed) private pure returns (bytes32[128] memory data) {
        for (uint256 i = 0; i < 128; ++i) data[i] = keccak256(abi.encode(seed, i));
    }

    function testFuzz_padSeedIsBlake2b(bytes32[4] calldata words) external view {
        (bytes32 seed0, bytes32 seed1) = _pora.padSeed(words[0], words[1], words[2], words[3]);
        assert(keccak256(abi.encode(seed0, seed1)) == keccak256(PlainPora.blake2b(abi.encode(words))));
    }

    /// forge-config: default.fuzz.runs = 64
    function testFuzz_evaluateIsThePlainComputation(
        bytes32[2] calldata seed,
        uint256 offset,
        bytes32 data
    ) external view {
        offset %= 64;
        (bytes32 recallSeed, bytes32 quality) = PlainPora.evaluate(abi.encode(seed), offset, _data(data));
        (bytes32 recallSeed_, bytes32 quality_) = _pora.evaluate(seed[0], seed[1], offset, _data(data));
        assert(recallSeed == recallSeed_ && quality == quality_);
    }

    /// forge-config: default.fuzz.runs = 256
    function testFuzz_sealRootIsThePlainComputation(
        bytes32 miner,
        bytes32 context,
        uint256 position,
        bytes32 data
    ) external view {
        bytes32 root = PlainPora.sealRoot(miner, context, position, _data(data));
        assert(_pora.sealRoot(miner, context, position, _data(data)) == root);
    }

    function testFuzz_flowRootIsThePlainComputation(
        bytes32 node,
        uint256 index,
        bytes32[] calldata siblings
    ) external view {
        assert(_pora.flowRoot(node, index, siblings) == PlainPora.flowRoot(node, index, siblings));
    }
}
