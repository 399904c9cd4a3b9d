// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {BN254, G1Point, G2Point} from "../lib/BN254.sol";
import {DrandMessage} from "./DrandMessage.sol";
import {IDrand} from "./IDrand.sol";
import {IRandomness} from "./IRandomness.sol";

/// @title Seeds from drand, for chains whose prevrandao is none
/// @notice Immutable, without roles. For networks of the scheme bls-bn254-unchained-on-g1, as evmnet is one. Asking for a seed settles everything it
/// follows from, at a time when nobody knows the round: who asks, who brings the round and who draws have nothing to choose.
contract Drand is IDrand {
    struct Chain {
        bytes32 seed;
        bytes32 contribution;
        /// The round asked for, 0 if none; and when the last one was.
        uint64 round;
        uint64 askedAt;
    }

    /// @inheritdoc IDrand
    uint64 public immutable genesisTime;
    /// @inheritdoc IDrand
    uint64 public immutable period;
    /// @inheritdoc IDrand
    uint64 public immutable delay;

    uint256 private immutable _keyX1;
    uint256 private immutable _keyX0;
    uint256 private immutable _keyY1;
    uint256 private immutable _keyY0;

    mapping(address consumer => Chain) private _chains;
    mapping(uint64 round => bytes32) private _values;

    constructor(G2Point memory publicKey_, uint64 genesisTime_, uint64 period_, uint64 delay_) {
        require(BN254.isKey(publicKey_), InvalidPublicKey());
        require(period_ != 0, ZeroPeriod());
        (_keyX1, _keyX0, _keyY1, _keyY0) = (publicKey_.x[0], publicKey_.x[1], publicKey_.y[0], publicKey_.y[1]);
        (genesisTime, period, delay) = (genesisTime_, period_, delay_);
    }

    /// @inheritdoc IRandomness
    function draw(bytes32 contribution, uint64 since) external returns (bytes32 seed) {
        Chain storage chain = _chains[msg.sender];
        uint64 round = chain.round;
        if (round == 0 || chain.askedAt < since) {
            round = _roundAfter(block.timestamp + delay);
            (chain.contribution, chain.round, chain.askedAt) = (contribution, round, uint64(block.timestamp));
            emit RoundAwaited(msg.sender, round);
            return 0;
        }
        bytes32 value = _values[round];
        require(value != 0, SeedNotReady(timeOf(round)));
        // The network signs the same for everybody: chain, contract and consumer make the seed this one's alone.
        seed = keccak256(
            abi.encode(block.chainid, address(this), msg.sender, chain.seed, round, value, chain.contribution)
        );
        (chain.seed, chain.round) = (seed, 0);
        emit SeedDrawn(msg.sender, seed);
    }

    /// @inheritdoc IDrand
    function submit(uint64 round, G1Point calldata signature, uint256[4][2] calldata hints) external {
        require(_values[round] == 0, RoundKnown(round));
        (bool valid, G1Point memory hash) = DrandMessage.hashToG1(round, hints);
        require(valid && BN254.isSignature(signature, publicKey(), hash), InvalidSignature(round));
        bytes32 value = sha256(abi.encode(signature));
        _values[round] = value;
        emit RoundSubmitted(round, value);
    }

    /// The first round that is signed later than `time`.
    function _roundAfter(uint256 time) private view returns (uint64) {
        return time < genesisTime ? 1 : uint64((time - genesisTime) / period + 2);
    }

    // ---- reading

    /// @inheritdoc IRandomness
    function seedOf(address consumer) external view returns (bytes32) {
        return _chains[consumer].seed;
    }

    /// @inheritdoc IDrand
    function awaitedBy(address consumer) external view returns (uint64 round) {
        return _chains[consumer].round;
    }

    /// @inheritdoc IDrand
    function randomnessOf(uint64 round) external view returns (bytes32) {
        return _values[round];
    }

    /// @inheritdoc IDrand
    function timeOf(uint64 round) public view returns (uint256) {
        return uint256(genesisTime) + uint256(round - 1) * period;
    }

    /// @inheritdoc IDrand
    function publicKey() public view returns (G2Point memory) {
        return G2Point([_keyX1, _keyX0], [_keyY1, _keyY0]);
    }
}
