// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {G1Point, G2Point} from "../lib/BN254.sol";

/// @title Who keeps data available
/// @notice A signer is an account with stake in `Bonds` under the availability challenges, and a BLS key on BN254 whose possession it proved.
/// Its key never changes; whoever wants another registers another account. Amounts in wei.
interface IDASigners {
    struct Signer {
        address account;
        /// Takes part in epochs that begin from now on.
        bool active;
        G1Point key;
        /// Where it serves gRPC, host:port.
        string url;
    }

    event SignerRegistered(uint32 indexed id, address indexed account, G1Point key, G2Point keyG2, string url);
    event SignerUrlChanged(uint32 indexed id, string url);
    event SignerJoined(uint32 indexed id);
    /// On its own wish, or because its stake fell below the minimum when an epoch was built.
    event SignerLeft(uint32 indexed id);
    event MinStakeChanged(uint96 minStake);

    error AlreadyRegistered(address account, uint32 id);
    error KeyTaken(uint32 id);
    error NotSigner(address account);
    /// The key is not a point of the curve, or the proof is not a signature by it over the account, this chain and this contract.
    error InvalidProofOfPossession();
    error StakeTooSmall(uint256 stake, uint256 minStake);
    error InvalidUrl(uint256 length, uint256 max);
    error AlreadyActive(uint32 id);
    error NotActive(uint32 id);
    /// Members are being gathered for the next epoch: once it has begun, this works again.
    error EpochBeingBuilt(uint64 epoch);
    /// Certificates name members by two bytes.
    error TooManySigners(uint256 max);
    error ZeroMinStake();
    /// Stake would be at risk for longer than a bond can last.
    error BondDelayTooLong(uint64 delay, uint64 longest);

    /// @notice Registers the caller, active. `proof` is the BLS signature of `possessionDigest(caller)`; `counter` and `y` are the hint of its hash to
    /// the curve (see `BN254.hashToG1`). Reverts AlreadyRegistered, KeyTaken, InvalidProofOfPossession, StakeTooSmall, InvalidUrl, EpochBeingBuilt,
    /// TooManySigners.
    function register(
        G1Point calldata key,
        G2Point calldata keyG2,
        G1Point calldata proof,
        uint8 counter,
        uint256 y,
        string calldata url
    ) external returns (uint32 id);
    /// @notice Changes where the caller serves. Reverts NotSigner, InvalidUrl.
    function setUrl(string calldata url) external;
    /// @notice The caller takes no part in later epochs. Its stake stays liable for what it signed. Reverts NotSigner, NotActive, EpochBeingBuilt.
    function resign() external;
    /// @notice The caller takes part again. Reverts NotSigner, AlreadyActive, StakeTooSmall, EpochBeingBuilt, TooManySigners.
    function join() external;
    /// @notice Stake below which a signer takes no part; those that have less are dropped when the next epoch is built. Governor. Reverts ZeroMinStake.
    function setMinStake(uint96 minStake) external;

    /// @notice What the proof of possession signs.
    function possessionDigest(address account) external view returns (bytes32);
    /// @notice Id of an account's registration; 0 if there is none. Ids count from 1.
    function signerIdOf(address account) external view returns (uint32);
    /// @notice A signer by its id; zeros if unknown.
    function signer(uint32 id) external view returns (Signer memory);
    /// @notice The bond whose stake counts for `account`: under the availability challenges alone, with the delay `bondDelay`.
    function bondIdOf(address account) external view returns (bytes32);
    /// @notice Seconds that stake stays liable after it was asked back: longer than any certificate can be challenged.
    function bondDelay() external view returns (uint64);
    function minStake() external view returns (uint96);
    /// @notice How many signers are active.
    function activeSigners() external view returns (uint256);
}
