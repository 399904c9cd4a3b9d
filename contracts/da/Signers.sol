// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {BN254, G1Point, G2Point} from "../lib/BN254.sol";
import {bondIdOf as bondId, IBonds} from "../stake/IBonds.sol";
import {IDASigners} from "./IDASigners.sol";

/// @title Registry of signers
/// @notice An account registers once, with a key that nobody else has. Which of them are active changes between epochs only.
abstract contract Signers is IDASigners, AccessManagedUpgradeable {
    struct Registration {
        address account;
        /// Stake as read for the epoch that is being built, or for the last one.
        uint96 weight;
        G1Point key;
        string url;
    }

    /// One slot.
    struct Standing {
        /// From 1; kept for good.
        uint32 id;
        /// In the list of active signers, from 1. 0: not active.
        uint32 position;
    }

    /// @custom:storage-location erc7201:perigee.storage.Signers
    struct SignersStorage {
        uint96 minStake;
        uint32[] active;
        Registration[] registrations;
        mapping(address account => Standing) standings;
        mapping(bytes32 keyHash => uint32 id) byKey;
    }

    /// @notice Longest url, in bytes.
    uint256 public constant MAX_URL_LENGTH = 128;
    /// @notice Most active signers: their indices are two bytes.
    uint256 public constant MAX_SIGNERS = 65_535;

    bytes32 private constant POSSESSION = keccak256("DASigner v1");
    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.Signers"));

    // Asked for each member of each epoch: code is cheaper to read than storage.
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    IBonds private immutable _bonds;
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    address private immutable _challenges;
    /// @inheritdoc IDASigners
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    uint64 public immutable bondDelay;

    /// Reverts BondDelayTooLong where nobody could bond.
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(address bonds, address challenges, uint64 bondDelay_) {
        uint64 longest = IBonds(bonds).MAX_DELAY();
        require(bondDelay_ <= longest, BondDelayTooLong(bondDelay_, longest));
        _bonds = IBonds(bonds);
        _challenges = challenges;
        bondDelay = bondDelay_;
    }

    function __Signers_init(uint96 minStake_) internal onlyInitializing {
        _setMinStake(minStake_);
    }

    // ---- signers

    /// @inheritdoc IDASigners
    function register(
        G1Point calldata key,
        G2Point calldata keyG2,
        G1Point calldata proof,
        uint8 counter,
        uint256 y,
        string calldata url
    ) external returns (uint32 id) {
        SignersStorage storage $ = _signersStorage();
        id = $.standings[msg.sender].id;
        require(id == 0, AlreadyRegistered(msg.sender, id));
        bytes32 keyHash = keccak256(abi.encode(key));
        require($.byKey[keyHash] == 0, KeyTaken($.byKey[keyHash]));
        _checkUrl(url);
        _checkPossession(key, keyG2, proof, counter, y);

        Registration storage registration = $.registrations.push();
        (registration.account, registration.key, registration.url) = (msg.sender, key, url);
        id = uint32($.registrations.length);
        $.byKey[keyHash] = id;
        $.standings[msg.sender].id = id;
        emit SignerRegistered(id, msg.sender, key, keyG2, url);
        _activate($, id);
    }

    /// @inheritdoc IDASigners
    function setUrl(string calldata url) external {
        uint32 id = _idOf(msg.sender);
        _checkUrl(url);
        _signersStorage().registrations[id - 1].url = url;
        emit SignerUrlChanged(id, url);
    }

    /// @inheritdoc IDASigners
    function resign() external {
        uint32 id = _idOf(msg.sender);
        require(_signersStorage().standings[msg.sender].position != 0, NotActive(id));
        _checkNotBuilding();
        _deactivate(msg.sender);
    }

    /// @inheritdoc IDASigners
    function join() external {
        uint32 id = _idOf(msg.sender);
        SignersStorage storage $ = _signersStorage();
        require($.standings[msg.sender].position == 0, AlreadyActive(id));
        _activate($, id);
        emit SignerJoined(id);
    }

    function _checkPossession(
        G1Point calldata key,
        G2Point calldata keyG2,
        G1Point calldata proof,
        uint8 counter,
        uint256 y
    ) private view {
        (bool valid, G1Point memory hash) = BN254.hashToG1(possessionDigest(msg.sender), counter, y);
        // Infinity is a key too, which signs whatever anybody wants.
        valid = valid && (key.x | key.y) != 0;
        require(valid && BN254.isSignature(proof, key, keyG2, hash), InvalidProofOfPossession());
    }

    function _checkUrl(string calldata url) private pure {
        uint256 length = bytes(url).length;
        require(length != 0 && length <= MAX_URL_LENGTH, InvalidUrl(length, MAX_URL_LENGTH));
    }

    /// The caller, whose id this is, takes part from the next epoch on.
    function _activate(SignersStorage storage $, uint32 id) private {
        _checkNotBuilding();
        uint256 stake = _stakeOf(msg.sender);
        require(stake >= $.minStake, StakeTooSmall(stake, $.minStake));
        require($.active.length < MAX_SIGNERS, TooManySigners(MAX_SIGNERS));
        $.active.push(id);
        $.standings[msg.sender].position = uint32($.active.length);
    }

    // ---- for epochs

    function _checkNotBuilding() internal view virtual;

    /// @dev Reads the stake of the active signer at `index` as its weight. One that has too little is dropped: the last one takes its place.
    function _weigh(uint256 index) internal returns (uint256 weight) {
        SignersStorage storage $ = _signersStorage();
        Registration storage registration = $.registrations[$.active[index] - 1];
        address account = registration.account;
        weight = _stakeOf(account);
        if (weight < $.minStake) {
            _deactivate(account);
            return 0;
        }
        // No bond holds more.
        registration.weight = uint96(weight);
    }

    /// @dev Id of the active signer at `index`.
    function _activeAt(uint256 index) internal view returns (uint32) {
        return _signersStorage().active[index];
    }

    function _registrationOf(uint32 id) internal view returns (Registration storage) {
        return _signersStorage().registrations[id - 1];
    }

    function _deactivate(address account) private {
        SignersStorage storage $ = _signersStorage();
        Standing memory standing = $.standings[account];
        uint32 last = $.active[$.active.length - 1];
        $.active[standing.position - 1] = last;
        $.active.pop();
        $.standings[$.registrations[last - 1].account].position = standing.position;
        $.standings[account].position = 0;
        emit SignerLeft(standing.id);
    }

    function _stakeOf(address account) private view returns (uint256) {
        return _bonds.bonded(bondIdOf(account));
    }

    // ---- parameters

    /// @inheritdoc IDASigners
    function setMinStake(uint96 minStake_) external restricted {
        _setMinStake(minStake_);
    }

    function _setMinStake(uint96 minStake_) private {
        // Weight of nothing can't be shared out.
        require(minStake_ != 0, ZeroMinStake());
        _signersStorage().minStake = minStake_;
        emit MinStakeChanged(minStake_);
    }

    // ---- reading

    /// @inheritdoc IDASigners
    function possessionDigest(address account) public view returns (bytes32) {
        return keccak256(abi.encode(POSSESSION, block.chainid, address(this), account));
    }

    /// @inheritdoc IDASigners
    function signerIdOf(address account) external view returns (uint32) {
        return _signersStorage().standings[account].id;
    }

    /// @inheritdoc IDASigners
    function signer(uint32 id) external view returns (Signer memory found) {
        SignersStorage storage $ = _signersStorage();
        if (id == 0 || id > $.registrations.length) return found;
        Registration storage registration = $.registrations[id - 1];
        found.account = registration.account;
        found.active = $.standings[found.account].position != 0;
        found.key = registration.key;
        found.url = registration.url;
    }

    /// @inheritdoc IDASigners
    function bondIdOf(address account) public view returns (bytes32) {
        address[] memory arbiters = new address[](1);
        arbiters[0] = _challenges;
        return bondId(account, arbiters, bondDelay);
    }

    /// @inheritdoc IDASigners
    function minStake() external view returns (uint96) {
        return _signersStorage().minStake;
    }

    /// @inheritdoc IDASigners
    function activeSigners() public view returns (uint256) {
        return _signersStorage().active.length;
    }

    function _idOf(address account) private view returns (uint32 id) {
        id = _signersStorage().standings[account].id;
        require(id != 0, NotSigner(account));
    }

    function _signersStorage() private pure returns (SignersStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
